/* Four queues, through struct net_conn.step_link: `waiting` and `crowd` are the loop's alone, so that a connection that
 * is closed leaves them at once; `todo` and `done` are under the lock, and hold NET_WORKER_STEPS at most together. */
#include "proto/net/worker.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "proto/net/net_int.h"

#define STACK_BYTES (1u << 20)
#define NETWORKS    1024u /* that are told apart; two with one place share what one has */

/* Steps that it has had lately, in thousandths: NET_WORKER_SHARE of them are forgotten a second. */
struct network {
    uint64_t at_ms, steps;
};
struct net_worker {
    unsigned refs;
    unsigned away; /* with the thread, or given back and not yet taken up */
    unsigned crowd_away;
    struct list waiting, crowd;
    struct network networks[NETWORKS];
    struct net_worker_stats stats;
    uv_async_t ended; /* keeps the loop alive while something is away */
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t more;
    struct list todo, done;
    bool stop;
};

/* ---- The thread ---- */

static struct net_conn *pop(struct list *queue)
{
    struct net_conn *c = LIST_ENTRY(queue->next, struct net_conn, step_link);
    list_remove(&c->step_link);
    return c;
}

static void rest(uint64_t took_ns)
{
    uint64_t ns = MIN(took_ns * NET_WORKER_RESTS, NET_WORKER_REST_US * (uint64_t)1000);
    nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

static void on_thread(void *arg)
{
    struct net_worker *w = arg;
    id_t self = (id_t)gettid(); /* this thread alone; if it fails, no harm */
    setpriority(PRIO_PROCESS, self, getpriority(PRIO_PROCESS, self) + NET_WORKER_NICE);
    uv_mutex_lock(&w->lock);
    while (!w->stop) {
        if (list_empty(&w->todo)) {
            uv_cond_wait(&w->more, &w->lock);
            continue;
        }
        struct net_conn *c = pop(&w->todo);
        uv_mutex_unlock(&w->lock);
        uint64_t start_ns = uv_hrtime();
        bool crowds = c->step_crowds;
        c->stepped = net_conn_step(c);
        uv_mutex_lock(&w->lock);
        list_push_back(&w->done, &c->step_link); /* c is the loop's again */
        uv_mutex_unlock(&w->lock);
        uv_async_send(&w->ended); /* not under the lock: the loop, which wakes at once, would have to wait for it */
        if (crowds) {
            rest(uv_hrtime() - start_ns);
        }
        uv_mutex_lock(&w->lock);
    }
    uv_mutex_unlock(&w->lock);
}

/* ---- The loop ---- */

/* Has its network had its share? */
static bool crowds(struct net_worker *w, const struct net_conn *c)
{
    struct network *n = &w->networks[net_gate_network(&c->place) % NETWORKS];
    uint64_t now_ms = uv_now(w->ended.loop);
    n->steps -= MIN(n->steps, (now_ms - n->at_ms) * NET_WORKER_SHARE);
    n->at_ms = now_ms;
    if (n->steps >= NET_WORKER_BURST * (uint64_t)1000) {
        return true;
    }
    n->steps += 1000;
    return false;
}

/* The queue whose first one goes next; NULL: none may. */
static struct list *next_queue(struct net_worker *w)
{
    if (w->away == NET_WORKER_STEPS) {
        return NULL;
    }
    if (!list_empty(&w->waiting)) {
        return &w->waiting;
    }
    return !list_empty(&w->crowd) && w->crowd_away < NET_WORKER_CROWD ? &w->crowd : NULL;
}

static void hand_over(struct net_worker *w)
{
    struct list *queue = next_queue(w);
    if (queue == NULL) {
        return;
    }
    uv_ref((uv_handle_t *)&w->ended);
    uv_mutex_lock(&w->lock);
    for (; queue != NULL; queue = next_queue(w)) {
        struct net_conn *c = pop(queue);
        net_conn_step_begins(c);
        list_push_back(&w->todo, &c->step_link);
        w->away++;
        w->crowd_away += c->step_crowds;
    }
    uv_cond_signal(&w->more);
    uv_mutex_unlock(&w->lock);
}

static unsigned take_done(struct net_worker *w, struct net_conn *out[NET_WORKER_STEPS])
{
    unsigned n = 0;
    uv_mutex_lock(&w->lock);
    while (!list_empty(&w->done)) {
        assert(n < NET_WORKER_STEPS);
        out[n++] = pop(&w->done);
    }
    uv_mutex_unlock(&w->lock);
    return n;
}

static void on_ended(uv_async_t *h)
{
    struct net_worker *w = net_worker_ref(CONTAINER_OF(h, struct net_worker, ended));
    struct net_conn *done[NET_WORKER_STEPS];
    unsigned n = take_done(w, done);
    w->away -= n;
    w->stats.waiting -= n;
    w->stats.steps += n;
    for (unsigned i = 0; i < n; i++) {
        w->crowd_away -= done[i]->step_crowds;
        w->stats.crowded += done[i]->step_crowds;
    }
    w->stats.taken_most = MAX(w->stats.taken_most, n);
    hand_over(w); /* the thread goes on meanwhile */
    for (unsigned i = 0; i < n; i++) {
        net_conn_step_ended(done[i]);
    }
    if (w->away == 0) {
        uv_unref((uv_handle_t *)&w->ended);
    }
    net_worker_unref(w);
}

void net_worker_take(struct net_worker *w, struct net_conn *c)
{
    assert(list_empty(&c->step_link));
    c->step_crowds = crowds(w, c);
    list_push_back(c->step_crowds ? &w->crowd : &w->waiting, &c->step_link);
    w->stats.waiting++;
    w->stats.waiting_most = MAX(w->stats.waiting_most, w->stats.waiting);
    hand_over(w);
}

void net_worker_forget(struct net_worker *w, struct net_conn *c)
{
    if (!list_empty(&c->step_link)) {
        list_remove(&c->step_link);
        w->stats.waiting--;
    }
}

const struct net_worker_stats *net_worker_stats(const struct net_worker *w)
{
    return &w->stats;
}

/* ---- Its life ---- */

int net_worker_new(uv_loop_t *loop, struct net_worker **out, struct error *err)
{
    const uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK_BYTES};
    struct net_worker *w = xcalloc(1, sizeof *w);
    *out = NULL;
    w->refs = 1;
    list_init(&w->waiting);
    list_init(&w->crowd);
    list_init(&w->todo);
    list_init(&w->done);
    int rv = uv_mutex_init(&w->lock) | uv_cond_init(&w->more);
    assert(rv == 0);
    rv = uv_thread_create_ex(&w->thread, &options, on_thread, w);
    if (rv != 0) {
        uv_cond_destroy(&w->more);
        uv_mutex_destroy(&w->lock);
        free(w);
        return error_set(err, ERR_LIMIT, "start a thread for TLS handshakes: %s", uv_strerror(rv));
    }
    rv = uv_async_init(loop, &w->ended, on_ended); /* the thread does not touch it before it has a step */
    assert(rv == 0);                               /* the loop has one already, of its pool */
    uv_unref((uv_handle_t *)&w->ended);
    *out = w;
    return 0;
}

struct net_worker *net_worker_ref(struct net_worker *w)
{
    assert(w->refs > 0);
    w->refs++;
    return w;
}

static void on_closed(uv_handle_t *h)
{
    free(CONTAINER_OF((uv_async_t *)h, struct net_worker, ended));
}

void net_worker_unref(struct net_worker *w)
{
    if (w == NULL) {
        return;
    }
    assert(w->refs > 0);
    if (--w->refs > 0) {
        return;
    }
    assert(w->away == 0 && list_empty(&w->waiting) &&
           list_empty(&w->crowd)); /* every connection has a reference, by its listener */
    uv_mutex_lock(&w->lock);
    w->stop = true;
    uv_cond_signal(&w->more);
    uv_mutex_unlock(&w->lock);
    uv_thread_join(&w->thread);
    uv_cond_destroy(&w->more);
    uv_mutex_destroy(&w->lock);
    uv_close((uv_handle_t *)&w->ended, on_closed);
}
