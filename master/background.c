#include "master/background.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"

#define NICE 5

struct thread_work {
    uv_thread_t thread;
    uv_async_t ended;
    bool threaded;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

void background_step_back(void)
{
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* this thread alone; if it fails, no harm */
}

static void do_work(void *arg)
{
    struct thread_work *w = arg;
    if (w->threaded) {
        background_step_back();
    }
    w->work(w->arg);
    uv_async_send(&w->ended);
}

static void work_closed(uv_handle_t *h)
{
    free(h->data);
}

static void work_ended(uv_async_t *ended)
{
    struct thread_work *w = ended->data;
    if (w->threaded) {
        uv_thread_join(&w->thread);
    }
    uv_close((uv_handle_t *)ended, work_closed);
    w->done(w->arg);
}

void background_run(void *loop, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct thread_work *w = xcalloc(1, sizeof *w);
    *w = (struct thread_work){.threaded = true, .work = work, .done = done, .arg = arg};
    w->ended.data = w;
    int rv = uv_async_init(loop, &w->ended, work_ended);
    assert(rv == 0);
    (void)rv;
    if (uv_thread_create(&w->thread, do_work, w) != 0) {
        w->threaded = false; /* better late than never */
        do_work(w);
    }
}
