// SPDX-License-Identifier: Apache-2.0
/* The mailbox: when it wakes its owner, that it keeps order, and threads that post while the owner sleeps and
 * takes (the thread sanitizer looks at the same cases). */
#include "base/mailbox.h"
#include "tests/support/testing.h"

#include <fcntl.h>
#include <poll.h>

struct message {
    struct list link;
    unsigned int sender, number;
};

static struct message *message_of(struct list *l)
{
    return LIST_ENTRY(l, struct message, link);
}

static int is_readable(const struct mailbox *box)
{
    struct pollfd p = {.fd = mailbox_fd(box), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

/* How often the box asked for a wake-up since the last time; leaves it asking for none. */
static uint64_t take_wakeups(const struct mailbox *box)
{
    uint64_t n = 0;
    ssize_t r = read(mailbox_fd(box), &n, sizeof n);

    assert_true(r == (ssize_t)sizeof n || (r < 0 && errno == EAGAIN));
    return n;
}

static void test_fd(void **state)
{
    struct mailbox box;
    int fd;

    assert_int_equal(mailbox_init(&box), 0);
    fd = mailbox_fd(&box);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_false(is_readable(&box));
    mailbox_deinit(&box);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_init_without_fds(void **state)
{
    struct rlimit old, none;
    struct mailbox box;
    int r;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    r = mailbox_init(&box);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(r, -EMFILE);
}

static void test_wakes_only_when_it_was_empty(void **state)
{
    struct message m[5];
    struct mailbox box;
    struct list got;

    list_init(&got);
    assert_int_equal(mailbox_init(&box), 0);
    mailbox_post(&box, &m[0].link);
    assert_true(is_readable(&box));
    assert_int_equal(take_wakeups(&box), 1);
    mailbox_post(&box, &m[1].link);
    mailbox_post(&box, &m[2].link);
    assert_int_equal(take_wakeups(&box), 0);
    mailbox_take(&box, &got);
    mailbox_post(&box, &m[3].link);
    assert_int_equal(take_wakeups(&box), 1);
    mailbox_post(&box, &m[4].link);
    assert_int_equal(take_wakeups(&box), 0);
    mailbox_take(&box, &got);
    for (size_t i = 0; i < ARRAY_LEN(m); i++)
        assert_ptr_equal(list_pop_front(&got), &m[i].link); /* oldest first, behind what was there */
    assert_true(list_is_empty(&got));
    mailbox_deinit(&box);
}

static void test_take_clears_the_wakeup(void **state)
{
    struct message m[3];
    struct mailbox box;
    struct list got;

    list_init(&got);
    assert_int_equal(mailbox_init(&box), 0);
    mailbox_take(&box, &got); /* with nothing there: does not block */
    assert_true(list_is_empty(&got));
    for (size_t i = 0; i < ARRAY_LEN(m); i++)
        mailbox_post(&box, &m[i].link);
    mailbox_take(&box, &got);
    assert_false(is_readable(&box));
    for (size_t i = 0; i < ARRAY_LEN(m); i++)
        assert_ptr_equal(list_pop_front(&got), &m[i].link);
    mailbox_take(&box, &got);
    assert_true(list_is_empty(&got));
    mailbox_deinit(&box);
}

static void deinit_box(void *box)
{
    mailbox_deinit(box);
}

static void test_deinit_with_messages_is_a_bug(void **state)
{
    struct mailbox box;
    struct message m;
    struct list got;

    list_init(&got);
    assert_int_equal(mailbox_init(&box), 0);
    mailbox_post(&box, &m.link);
    test_aborts(deinit_box, &box, "list_is_empty");
    mailbox_take(&box, &got);
    mailbox_deinit(&box);
}

enum { N_SENDERS = 4, N_MESSAGES = 5000 };

struct sender {
    struct mailbox *box;
    unsigned int number;
    pthread_t thread;
};

static void *post_many(void *arg)
{
    struct sender *s = arg;

    for (unsigned int i = 0; i < N_MESSAGES; i++) {
        struct message *m = malloc(sizeof *m); /* of this thread until posted, of the owner after */

        if (!m)
            abort();
        m->sender = s->number;
        m->number = i;
        mailbox_post(s->box, &m->link);
    }
    return NULL;
}

/* The owner sleeps without a timeout: one lost wake-up, and it sleeps for ever. */
static void test_many_senders(void **state)
{
    unsigned int n_got[N_SENDERS] = {0}, n_all = 0;
    struct sender senders[N_SENDERS];
    struct mailbox box;

    assert_int_equal(mailbox_init(&box), 0);
    for (unsigned int i = 0; i < N_SENDERS; i++) {
        senders[i] = (struct sender){.box = &box, .number = i};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, post_many, &senders[i]), 0);
    }
    while (n_all < N_SENDERS * N_MESSAGES) {
        struct pollfd p = {.fd = mailbox_fd(&box), .events = POLLIN};
        struct list got, *l;

        assert_int_equal(poll(&p, 1, -1), 1);
        list_init(&got);
        mailbox_take(&box, &got);
        while ((l = list_pop_front(&got))) {
            struct message *m = message_of(l);

            assert_int_equal(m->number,
                             n_got[m->sender]++); /* each sender's in its order, none twice, none lost */
            n_all++;
            free(m);
        }
    }
    for (unsigned int i = 0; i < N_SENDERS; i++)
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
    mailbox_deinit(&box);
}

struct player {
    struct mailbox mine, *other;
    unsigned int n_rounds;
};

static void *return_each(void *arg)
{
    struct player *p = arg;

    for (unsigned int i = 0; i < p->n_rounds;) {
        struct pollfd fd = {.fd = mailbox_fd(&p->mine), .events = POLLIN};
        struct list got, *l;

        if (poll(&fd, 1, -1) != 1)
            abort();
        list_init(&got);
        mailbox_take(&p->mine, &got);
        while ((l = list_pop_front(&got))) {
            message_of(l)->number++;
            mailbox_post(p->other, l);
            i++;
        }
    }
    return NULL;
}

/* One message to and fro: every post finds an empty box, and every sleeper must be woken. */
static void test_ping_pong(void **state)
{
    struct message m = {.number = 0};
    struct player here = {.n_rounds = 10000}, there = {.n_rounds = 10000};
    pthread_t thread;
    struct list got;

    assert_int_equal(mailbox_init(&here.mine), 0);
    assert_int_equal(mailbox_init(&there.mine), 0);
    here.other = &there.mine;
    there.other = &here.mine;
    assert_int_equal(pthread_create(&thread, NULL, return_each, &there), 0);
    mailbox_post(&there.mine, &m.link);
    return_each(&here); /* ends with the message in the other's box */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(m.number, 20000);
    list_init(&got);
    mailbox_take(&there.mine, &got);
    assert_ptr_equal(list_pop_front(&got), &m.link);
    mailbox_deinit(&here.mine);
    mailbox_deinit(&there.mine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_fd),
            cmocka_unit_test(test_init_without_fds),
            cmocka_unit_test(test_wakes_only_when_it_was_empty),
            cmocka_unit_test(test_take_clears_the_wakeup),
            cmocka_unit_test(test_deinit_with_messages_is_a_bug),
            cmocka_unit_test(test_many_senders),
            cmocka_unit_test(test_ping_pong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
