// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * An intrusive, circular, doubly linked list. The head is a link too. A link that is in no list points to
 * itself, so list_del may be called twice and list_is_linked can be asked.
 */
#include "base/err.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline int list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline int list_is_linked(const struct list *l)
{
    return l->next != l;
}

static inline void list_insert_between(struct list *l, struct list *prev, struct list *next)
{
    l->prev = prev;
    l->next = next;
    prev->next = l;
    next->prev = l;
}

/* list_push_back, list_push_front: @l must be in no list. */
static inline void list_push_back(struct list *head, struct list *l)
{
    list_insert_between(l, head->prev, head);
}

static inline void list_push_front(struct list *head, struct list *l)
{
    list_insert_between(l, head, head->next);
}

/* list_del: take @l out of its list, if it is in one. */
static inline void list_del(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

/* list_first, list_pop_front: NULL when empty. */
static inline struct list *list_first(const struct list *head)
{
    return list_is_empty(head) ? NULL : head->next;
}

static inline struct list *list_pop_front(struct list *head)
{
    struct list *l = list_first(head);

    if (l)
        list_del(l);
    return l;
}

/* list_splice_back: move all of @from to the end of @to; @from is empty afterwards. */
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define LIST_ENTRY(l, type, member) CONTAINER_OF(l, type, member)
#define LIST_FOREACH(l, head)       for (struct list *l = (head)->next; l != (head); l = l->next)
#define LIST_FOREACH_SAFE(l, head) \
    for (struct list *l = (head)->next, *l##_next = l->next; l != (head); l = l##_next, l##_next = l->next)
