// SPDX-License-Identifier: Apache-2.0
/* What an attempt says: gathered, bounded, written as the daemon reads it; and as frames of an isolated function's process. */
#include "tests/support/testing.h"
#include "worker/telling.h"

#include <unistd.h>

#include <futured/v1/workers.pb-c.h>

struct scene {
    struct telling telling;
    struct buf out;
    struct writer writer;
    struct lease_ref lease;
    Futured__V1__AttachRequest *said;
};

static void scene_init(struct scene *s, uint64_t max_bytes)
{
    *s = (struct scene){.out = BUF_INIT, .lease = {.id = id_make(5, 1), .attempt = 1, .epoch = 1}};
    assert_int_equal(telling_init(&s->telling), 0);
    s->telling.max_bytes[TELLING_OUTPUT] = s->telling.max_bytes[TELLING_LOG] = max_bytes;
    s->writer = writer_to(&s->out);
}

static void scene_deinit(struct scene *s)
{
    telling_end(&s->telling);
    telling_deinit(&s->telling);
    buf_deinit(&s->out);
    if (s->said)
        futured__v1__attach_request__free_unpacked(s->said, NULL);
}

static void say(struct scene *s, enum telling_kind kind, const char *text)
{
    assert_int_equal(telling_say(&s->telling, kind, TELLING_FROM_LOG, span_of_string(text)), 0);
}

/* What it has said, as one message. Whether there is more. */
static int write_all(struct scene *s, size_t max_bytes)
{
    int is_more = telling_write(&s->telling, &s->lease, &s->writer, max_bytes);

    assert_int_equal(s->writer.failed, 0);
    if (s->said)
        futured__v1__attach_request__free_unpacked(s->said, NULL);
    s->said = futured__v1__attach_request__unpack(NULL, buf_len(&s->out), buf_head(&s->out));
    assert_non_null(s->said);
    return is_more;
}

static void assert_data(ProtobufCBinaryData data, const char *text)
{
    assert_int_equal(data.len, strlen(text));
    assert_memory_equal(data.data, text, data.len);
}

static void test_gathered(void **state)
{
    struct scene s;

    scene_init(&s, 1000);
    assert_false(telling_has_news(&s.telling));
    say(&s, TELLING_LOG, "one\n");
    say(&s, TELLING_OUTPUT, "abc");
    say(&s, TELLING_LOG, "two\n");
    assert_int_equal(telling_progress(&s.telling, 1, 2, SPAN_LIT("begun")), 0);
    assert_int_equal(telling_progress(&s.telling, 2, 2, SPAN_LIT("")), 0);
    assert_true(telling_has_news(&s.telling));
    assert_int_equal(write_all(&s, 10000), 0);
    assert_false(telling_has_news(&s.telling));
    assert_int_equal(s.said->n_log, 1);
    assert_data(s.said->log[0]->data, "one\ntwo\n");
    assert_int_equal(s.said->n_output, 1);
    assert_data(s.said->output[0]->data, "abc");
    assert_int_equal(s.said->n_progress, 1);
    assert_int_equal(s.said->progress[0]->progress->completed, 2);
    assert_string_equal(s.said->progress[0]->progress->message, "");
    say(&s, TELLING_LOG, "three\n");
    assert_int_equal(write_all(&s, 10000), 0);
    assert_int_equal(s.said->log[1]->offset, 8);
    scene_deinit(&s);
}

/* One byte beyond the limit, by which the daemon sees that there was more; nothing where nothing is kept. */
static void test_bounds(void **state)
{
    static char much[200000];
    uint64_t n = 0;
    struct scene s;

    memset(much, 'x', sizeof much - 1);
    scene_init(&s, 100000);
    for (int i = 0; i < 3; i++)
        say(&s, TELLING_LOG, much);
    while (write_all(&s, buf_len(&s.out) + 1))
        ;
    for (size_t i = 0; i < s.said->n_log; i++) {
        assert_true(s.said->log[i]->offset == n && s.said->log[i]->data.len <= TELLING_PIECE_BYTES);
        n += s.said->log[i]->data.len;
    }
    assert_int_equal(n, 100001);
    telling_end(&s.telling);
    s.telling.max_bytes[TELLING_LOG] = 0;
    say(&s, TELLING_LOG, "nobody keeps it");
    assert_false(telling_has_news(&s.telling));
    scene_deinit(&s);
}

static void test_frames(void **state)
{
    struct buf got = BUF_INIT;
    struct scene from, to;
    int fds[2];
    uint8_t byte;

    assert_int_equal(pipe(fds), 0);
    scene_init(&from, 0);
    from.telling.pipe_fd = fds[1];
    say(&from, TELLING_LOG, "line\n");
    say(&from, TELLING_OUTPUT, "abc");
    assert_int_equal(telling_progress(&from.telling, UINT64_MAX, 7, SPAN_LIT("far")), 0);
    assert_int_equal(write(fds[1], "\4\0\0\0rest", 8), 8); /* what is behind them is an answer */
    close(fds[1]);
    scene_init(&to, 1000);
    while (read(fds[0], &byte, 1) == 1) { /* split anywhere */
        assert_int_equal(buf_append(&got, &byte, 1), 0);
        telling_take_frames(&to.telling, &got);
    }
    close(fds[0]);
    assert_int_equal(buf_len(&got), 8);
    assert_int_equal(write_all(&to, 10000), 0);
    assert_data(to.said->log[0]->data, "line\n");
    assert_data(to.said->output[0]->data, "abc");
    assert_true(to.said->progress[0]->progress->completed == UINT64_MAX);
    assert_string_equal(to.said->progress[0]->progress->message, "far");
    buf_deinit(&got);
    scene_deinit(&from);
    scene_deinit(&to);
}

/* Whatever stands there is read without harm, and either taken or left. */
static void test_nonsense(void **state)
{
    struct test_random random = {test_seed()};

    for (int i = 0; i < 20000; i++) {
        struct buf got = BUF_INIT;
        struct scene s;
        size_t n = test_random_next(&random) % 64;

        scene_init(&s, 1000);
        for (size_t k = 0; k < n; k++) {
            uint8_t byte = (uint8_t)test_random_next(&random);

            byte = k == 0 ? byte % 64 : k == 1 || k == 2 ? 0 : k == 3 ? 0x80 : k == 4 ? byte % 4 : byte;
            assert_int_equal(buf_append(&got, &byte, 1), 0);
        }
        telling_take_frames(&s.telling, &got);
        assert_true(buf_len(&got) <= n);
        write_all(&s, 10000);
        buf_deinit(&got);
        scene_deinit(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_gathered),
            cmocka_unit_test(test_bounds),
            cmocka_unit_test(test_frames),
            cmocka_unit_test(test_nonsense),
    };

    test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
