/* Waiting for an answer, with open eyes: an answer may be long in coming because the masters elect a leader (the
 * request waits for it there), because it takes its time, because this master stands still, or because most masters are
 * dead. A `hello` beside the request tells these apart.
 *
 * What is waited for is told to a person after API_TELL_MS, and again when it becomes something else. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/api/api_internal.h"

/* Shared by the wait and its answer, which may come when the wait is over. */
struct api_probe {
    bool done, failed, orphan;
    int64_t leader, voters, up;
};

void api_patience_init(struct api_patience *p)
{
    *p = (struct api_patience){.start_ms = api_now()};
}

void api_waits_for(struct api_patience *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->text, sizeof(p->text), fmt, ap);
    va_end(ap);
}

/* When something is to be said at the latest; INT64_MAX: nothing is. */
static int64_t tell_at(const struct api *a, const struct api_patience *p)
{
    bool nothing = a->tell == NULL || p->text[0] == '\0' || strcmp(p->text, p->told) == 0;
    return nothing ? INT64_MAX : p->start_ms + API_TELL_MS;
}

static void tell(struct api *a, struct api_patience *p)
{
    if (api_now() >= tell_at(a, p)) {
        fprintf(a->tell, "waiting: %s\n", p->text);
        fflush(a->tell);
        snprintf(p->told, sizeof(p->told), "%s", p->text);
    }
}

void api_rest(struct api *a, struct api_patience *p, int64_t ms)
{
    for (int64_t until = api_now() + ms, now; (now = api_now()) < until;) {
        tell(a, p);
        int64_t at = tell_at(a, p);
        api_pause(a, at > now ? MIN(until, at) - now : until - now);
    }
    tell(a, p);
}

/* ---- Probes ---- */

static void on_hello(const struct rpc_result *r, void *data)
{
    struct api_probe *b = data;
    b->done = true;
    b->failed = r->error != NULL;
    b->leader = mp_int(mp_get(r->result, "leader"), -1);
    b->voters = mp_int(mp_get(r->result, "voters"), 0);
    b->up = mp_int(mp_get(r->result, "votersUp"), 0);
    if (b->orphan) {
        free(b);
    }
}

static struct api_probe *probe_send(struct rpc_session *s)
{
    struct api_probe *b = xcalloc(1, sizeof(*b));
    rpc_call(s, "hello", STR("\x80"), 0, on_hello, b);
    return b;
}

static void probe_leave(struct api_probe *b)
{
    if (b == NULL) {
        return;
    }
    if (b->done) {
        free(b);
    } else {
        b->orphan = true;
    }
}

/* What it says goes into the text. True: this master says that most of them are dead. */
static bool probe_read(const struct api *a, struct api_patience *p, const struct api_probe *b)
{
    if (b->failed || b->leader < 0) {
        return false; /* an old one, or it hangs up: the call will tell */
    }
    if (b->leader == 0 && b->voters > 0 && b->up * 2 <= b->voters) {
        api_waits_for(p, "a majority of the masters: %s reaches %lld of %lld", api_server(a), (long long)b->up,
                      (long long)b->voters);
        return true;
    }
    if (b->leader == 0) {
        api_waits_for(p, "the masters are electing a leader");
    } else {
        api_waits_for(p, "an answer of %s", api_server(a));
    }
    return false;
}

/* ---- The wait ---- */

/* Until one of the two is true, or for ms. */
static void run_until(struct api *a, const bool *done, const bool *also, int64_t ms)
{
    static const bool never;
    also = also == NULL ? &never : also;
    for (int64_t until = api_now() + ms, now; !*done && !*also && (now = api_now()) < until;) {
        api_turn(a, until - now);
    }
}

enum api_waited api_wait(struct api *a, struct api_patience *p, const bool *done, int64_t deadline_ms, int64_t probe_ms,
                         int64_t silent_ms)
{
    struct rpc_session *s = a->session;
    enum api_waited how = API_WAIT_DONE;
    int64_t probe_at = api_now() + probe_ms;
    struct api_probe *b = NULL;
    unsigned dead = 0;
    if (p->text[0] == '\0') {
        api_waits_for(p, "an answer of %s", api_server(a));
    }
    while (!*done && how == API_WAIT_DONE) {
        int64_t now = api_now();
        tell(a, p);
        if (b != NULL && b->done) {
            dead = probe_read(a, p, b) ? dead + 1 : 0;
            how = dead >= API_DEAD_PROBES ? API_WAIT_DEAD : how;
            free(b);
            b = NULL;
            probe_at = now + probe_ms;
            continue;
        }
        if (now >= deadline_ms) {
            how = API_WAIT_LATE;
            break;
        }
        if (now >= probe_at && b != NULL) {
            api_waits_for(p, "%s to answer", api_server(a));
            how = API_WAIT_SILENT;
            break;
        }
        if (now >= probe_at) {
            bool open = a->session == s && rpc_session_is_open(s); /* else the call will be told */
            b = open ? probe_send(s) : NULL;
            probe_at = now + (open ? silent_ms : probe_ms);
        }
        int64_t at = MIN(MIN(deadline_ms, probe_at), MAX(tell_at(a, p), now + 1));
        run_until(a, done, b == NULL ? NULL : &b->done, MAX(at - now, 1));
    }
    probe_leave(b);
    return how;
}
