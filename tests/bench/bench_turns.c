#include "tests/bench/bench_turns.h"

#include <stdio.h>
#include <string.h>

#define SAMPLE_MS 2000u
#define PAST_US   10000000u /* what a master tells is not older */
#define ANSWER_MS 20000

static void on_closed(struct rpc_session *s, const struct error *why, void *data)
{
    struct turns *t = data;
    (void)s;
    (void)why;
    t->rpc = NULL;
}

static void keep_parts(struct turns *t, struct mp stats)
{
    static const char *const parts[] = {"turnSocketsUs", "turnRequestsUs",  "turnWatchesUs",
                                        "turnFeedsUs",   "turnDecisionsUs", "turnTimersUs"};
    size_t n = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(parts) && n < sizeof t->parts; i++) {
        int64_t us = mp_int(mp_get(stats, parts[i]), 0);
        n += (size_t)snprintf(t->parts + n, sizeof t->parts - n, "%s%.*s %.1f", i == 0 ? "" : ", ",
                              (int)strlen(parts[i]) - 6, parts[i] + 4, (double)us / 1000);
    }
}

static void on_sample(const struct rpc_result *r, void *data)
{
    struct turns *t = data;
    t->asking = false;
    if (r->error != NULL) {
        return;
    }
    struct mp stats = mp_get(r->result, "stats");
    int64_t us = mp_int(mp_get(stats, "turnLongestUs"), 0);
    bool past = kit_now_us() - t->began_us < PAST_US;
    if (t->before_us < 0) {
        t->before_us = t->with_past ? 0 : us;
    }
    if (us > t->longest_us && (!past || us > t->before_us)) {
        t->longest_us = us;
        keep_parts(t, stats);
    }
}

static void ask(struct turns *t)
{
    if (t->rpc != NULL && !t->asking) {
        t->asking = true;
        rpc_call(t->rpc, "cluster", STR("\x80"), ANSWER_MS, on_sample, t);
    }
}

static void on_time(uv_timer_t *timer)
{
    ask(timer->data);
}

void turns_begin(struct turns *t, struct kit *k, const char *address, bool with_past)
{
    *t = (struct turns){.kit = k, .began_us = kit_now_us(), .before_us = -1, .longest_us = -1, .with_past = with_past};
    t->rpc = rpc_session_connect(&k->loop, k->tls, address, ALPN_RPC, ANSWER_MS,
                                 &(struct rpc_config){.handler = {.on_close = on_closed}, .data = t});
    ask(t);
    uv_timer_init(&k->loop, &t->timer);
    t->timer.data = t;
    uv_timer_start(&t->timer, on_time, SAMPLE_MS, SAMPLE_MS);
}

double turns_end(struct turns *t, bool *at_most)
{
    while (t->asking) {
        uv_run(&t->kit->loop, UV_RUN_ONCE);
    }
    ask(t);
    while (t->asking) {
        uv_run(&t->kit->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&t->timer, NULL);
    if (t->rpc != NULL) {
        rpc_session_close(t->rpc);
    }
    while (t->rpc != NULL) {
        uv_run(&t->kit->loop, UV_RUN_ONCE);
    }
    uv_run(&t->kit->loop, UV_RUN_NOWAIT);
    *at_most = t->longest_us < 0;
    return (double)(*at_most ? t->before_us : t->longest_us) / 1000;
}
