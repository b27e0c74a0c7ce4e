/* What is freed beside the loop (master/discards.h): by one thread at a time, all of it, and no more waits than may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "master/discards.h"

#define THINGS 500

/* Stands for the thread: does what it is given when it is told to. */
struct worker {
    struct discards *discards;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
    unsigned runs;
};

static unsigned dropped[THINGS], order[THINGS], count;

static void run_later(void *data, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct worker *w = data;
    assert_null(w->work); /* one at a time */
    w->work = work;
    w->done = done;
    w->arg = arg;
    w->runs++;
}

static void work(struct worker *w)
{
    void (*done)(void *arg) = w->done;
    w->work(w->arg);
    w->work = NULL;
    done(w->arg);
}

static void drop(void *what)
{
    unsigned i = (unsigned)((unsigned *)what - dropped);
    assert_int_equal(dropped[i]++, 0);
    order[count++] = i;
}

static void begin(struct worker *w)
{
    memset(dropped, 0, sizeof dropped);
    count = 0;
    *w = (struct worker){0};
    w->discards = discards_new(&(struct discards_config){run_later, w, drop});
}

static void one_thread_frees_what_has_come_meanwhile_in_its_order(void **state)
{
    (void)state;
    struct worker w;
    begin(&w);
    for (unsigned i = 0; i < 10; i++) {
        discards_give(w.discards, &dropped[i]);
    }
    assert_int_equal(count, 0);
    work(&w);
    assert_int_equal(count, 1);
    work(&w);
    assert_int_equal(count, 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(order[i], i);
    }
    assert_int_equal(w.runs, 2);
    assert_null(w.work);
    discards_give(w.discards, &dropped[10]);
    work(&w);
    assert_int_equal(count, 11);
    discards_free(w.discards);
}

static void more_than_may_wait_is_freed_at_once(void **state)
{
    (void)state;
    struct worker w;
    begin(&w);
    for (unsigned i = 0; i < THINGS; i++) {
        discards_give(w.discards, &dropped[i]);
    }
    assert_int_equal(count, THINGS - 1 - DISCARDS_MAX);
    while (w.work != NULL) {
        work(&w);
    }
    assert_int_equal(count, THINGS);
    assert_int_equal(w.runs, 2);
    discards_free(w.discards);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_frees_what_has_come_meanwhile_in_its_order),
        cmocka_unit_test(more_than_may_wait_is_freed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
