#include "agent/util/aside.h"

#include <assert.h>
#include <stdlib.h>

#define STACK_BYTES (1u << 20)

struct aside {
    uv_async_t wake; /* keeps the loop alive while something runs */
    uv_mutex_t lock;
    struct list ended; /* under the lock */
    struct list waiting;
    unsigned running;
    bool closing;
    void (*close_cb)(void *data);
    void *close_data;
};

static void on_closed(uv_handle_t *h)
{
    struct aside *a = CONTAINER_OF((uv_async_t *)h, struct aside, wake);
    void (*cb)(void *data) = a->close_cb;
    void *data = a->close_data;
    uv_mutex_destroy(&a->lock);
    free(a);
    if (cb != NULL) {
        cb(data);
    }
}

static void on_thread(void *arg)
{
    struct aside_work *w = arg;
    struct aside *a = w->aside;
    w->run(w);
    uv_mutex_lock(&a->lock);
    list_push_back(&a->ended, &w->link);
    uv_async_send(&a->wake); /* inside: afterwards the loop may free a */
    uv_mutex_unlock(&a->lock);
}

static struct aside_work *take_ended(struct aside *a)
{
    struct aside_work *w = NULL;
    uv_mutex_lock(&a->lock);
    if (!list_empty(&a->ended)) {
        w = LIST_ENTRY(a->ended.next, struct aside_work, link);
        list_remove(&w->link);
    }
    uv_mutex_unlock(&a->lock);
    return w;
}

static void start_waiting(struct aside *a)
{
    const uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK_BYTES};
    while (!list_empty(&a->waiting) && a->running < ASIDE_MAX && !a->closing) {
        struct aside_work *w = LIST_ENTRY(a->waiting.next, struct aside_work, link);
        list_remove(&w->link);
        if (uv_thread_create_ex(&w->thread, &options, on_thread, w) != 0) {
            list_push_front(&a->waiting, &w->link);
            if (a->running == 0) {
                uv_async_send(&a->wake); /* tried again */
            }
            break;
        }
        a->running++;
    }
}

static void on_wake(uv_async_t *h)
{
    struct aside *a = CONTAINER_OF(h, struct aside, wake);
    for (struct aside_work *w; (w = take_ended(a)) != NULL;) {
        uv_thread_join(&w->thread);
        a->running--;
        w->done(w, true);
    }
    while (a->closing && !list_empty(&a->waiting)) {
        struct aside_work *w = LIST_ENTRY(a->waiting.next, struct aside_work, link);
        list_remove(&w->link);
        w->done(w, false);
    }
    start_waiting(a);
    if (a->running == 0 && list_empty(&a->waiting)) {
        uv_unref((uv_handle_t *)&a->wake);
        if (a->closing && !uv_is_closing((uv_handle_t *)&a->wake)) {
            uv_close((uv_handle_t *)&a->wake, on_closed);
        }
    }
}

struct aside *aside_new(uv_loop_t *loop)
{
    struct aside *a = xcalloc(1, sizeof *a);
    list_init(&a->ended);
    list_init(&a->waiting);
    int rc = uv_mutex_init(&a->lock);
    rc = rc != 0 ? rc : uv_async_init(loop, &a->wake, on_wake);
    assert(rc == 0);
    (void)rc;
    uv_unref((uv_handle_t *)&a->wake);
    return a;
}

void aside_run(struct aside *a, struct aside_work *w, void (*run)(struct aside_work *w),
               void (*done)(struct aside_work *w, bool ran))
{
    assert(!a->closing);
    w->aside = a;
    w->run = run;
    w->done = done;
    list_push_back(&a->waiting, &w->link);
    uv_ref((uv_handle_t *)&a->wake);
    uv_async_send(&a->wake);
}

void aside_close(struct aside *a, void (*cb)(void *data), void *data)
{
    a->closing = true;
    a->close_cb = cb;
    a->close_data = data;
    uv_ref((uv_handle_t *)&a->wake);
    uv_async_send(&a->wake);
}
