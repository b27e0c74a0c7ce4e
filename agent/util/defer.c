#include "agent/util/defer.h"

#include <stdlib.h>

struct defer {
    uv_timer_t timer;
    void (*fn)(void *data);
    void *data;
};

static void defer_closed(uv_handle_t *h)
{
    struct defer *d = h->data;
    void (*fn)(void *data) = d->fn;
    void *data = d->data;
    free(d);
    fn(data);
}

/* A closing handle is called back in the loop's next closing phase: that is all that is needed. */
void defer_call(uv_loop_t *loop, void (*fn)(void *data), void *data)
{
    struct defer *d = xcalloc(1, sizeof *d);
    d->fn = fn;
    d->data = data;
    uv_timer_init(loop, &d->timer);
    d->timer.data = d;
    uv_close((uv_handle_t *)&d->timer, defer_closed);
}
