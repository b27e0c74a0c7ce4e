/* libraft's memory: large blocks wait, small ones and other threads' do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <raft.h>
#include <string.h>

#include "raft-store/raft/raft_heap.h"

/* With AddressSanitizer nothing waits. */
#ifdef __SANITIZE_ADDRESS__
#define WAITS(n) 0
#else
#define WAITS(n) (n)
#endif

static void large_blocks_wait_until_they_are_drained(void **state)
{
    (void)state;
    raft_heap_install();
    void *blocks[8];
    for (int i = 0; i < 8; i++) {
        blocks[i] = raft_malloc(1u << 20);
        memset(blocks[i], i, 1u << 20);
    }
    for (int i = 0; i < 8; i++) {
        raft_free(blocks[i]);
    }
    size_t all = WAITS(8u << 20), some = WAITS(3u << 20);
    assert_true(raft_heap_waiting() >= all);
    size_t before = raft_heap_waiting();
    bool more = raft_heap_drain(3u << 20);
    assert_int_equal(more, WAITS(1));
    assert_true(before - raft_heap_waiting() >= some);
    while (raft_heap_drain(RAFT_HEAP_TURN)) {
    }
    assert_int_equal(raft_heap_waiting(), 0);
}

static void small_blocks_go_at_once(void **state)
{
    (void)state;
    raft_heap_install();
    raft_free(raft_malloc(100));
    raft_free(NULL);
    assert_int_equal(raft_heap_waiting(), 0);
}

static void *free_there(void *block)
{
    raft_free(block);
    return (void *)(uintptr_t)raft_heap_waiting();
}

static void what_another_thread_frees_goes_at_once(void **state)
{
    (void)state;
    raft_heap_install();
    pthread_t thread;
    void *waiting = NULL;
    assert_int_equal(pthread_create(&thread, NULL, free_there, raft_malloc(1u << 20)), 0);
    pthread_join(thread, &waiting);
    assert_int_equal((uintptr_t)waiting, 0);
    assert_int_equal(raft_heap_waiting(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_blocks_wait_until_they_are_drained),
        cmocka_unit_test(small_blocks_go_at_once),
        cmocka_unit_test(what_another_thread_frees_goes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
