/* Work that may stand still for as long as a disk or a server does: each piece on a thread of its own, so that neither
 * the loop nor the pool of libuv, of which images and volumes of other pods live, waits for it. At most ASIDE_MAX at
 * once; others wait in the order in which they came. All functions: loop thread only. */
#ifndef AGENT_UTIL_ASIDE_H
#define AGENT_UTIL_ASIDE_H

#include "base/list.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */

#include <stdbool.h>
#include <uv.h>

#define ASIDE_MAX 16u

struct aside;
/* Part of what the caller keeps until done was called. */
struct aside_work {
    struct list link;
    struct aside *aside;
    uv_thread_t thread;
    void (*run)(struct aside_work *w);            /* on the thread */
    void (*done)(struct aside_work *w, bool ran); /* on the loop, exactly once, never inside aside_run */
};

struct aside *aside_new(uv_loop_t *loop);
void aside_run(struct aside *a, struct aside_work *w, void (*run)(struct aside_work *w),
               void (*done)(struct aside_work *w, bool ran));
/* What has begun is waited for; what has not is done with ran = false. cb from the loop, then a is freed. */
void aside_close(struct aside *a, void (*cb)(void *data), void *data);

#endif
