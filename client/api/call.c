/* One call over all its attempts: which master is asked next, after which pause, and when to give up. */
#include <string.h>

#include "base/env.h"
#include "client/api/api_internal.h"
#include "proto/rpc/api.h"
#include "proto/rpc/codec.h"

struct attempt {
    bool done, failed, sent;
    struct api_reply *out;
    struct error error;
};

static void attempt_done(const struct rpc_result *r, void *data)
{
    struct attempt *t = data;
    t->done = true;
    t->sent = r->sent;
    if (r->error != NULL) {
        t->failed = true;
        t->error = *r->error;
        return;
    }
    buf_append(&t->out->bytes, r->result.p, (size_t)(r->result.end - r->result.p));
    t->out->result = mp_of(t->out->bytes.data, t->out->bytes.size);
}

#define ATTEMPT_MIN_MS   20  /* in less nobody answers */
#define ANSWER_MARGIN_MS 200 /* a master's last word arrives before we stop to listen */

void api_add_timeout(const struct api *a, struct buf *out, struct str params, int64_t left_ms)
{
    struct mp m = mp_of(params.p, params.n);
    unsigned more = (a->no_timeout_param ? 0u : 1u) + (a->as.size > 0 ? 1u : 0u);
    if (more == 0 || mp_type(m) != MP_MAP) {
        buf_append_str(out, params);
        return;
    }
    mp_write_map_and(out, m, more);
    if (a->as.size > 0) {
        mp_write_cstr(out, "as");
        buf_append(out, a->as.data, a->as.size);
    }
    if (a->no_timeout_param) {
        return;
    }
    mp_write_key_int(out, "timeoutMs", MAX(left_ms - MIN(ANSWER_MARGIN_MS, left_ms / 10), 1));
}

bool api_old_master(struct api *a, const struct error *e)
{
    if (a->no_timeout_param || e->code != ERR_USAGE || strstr(e->message, "\"timeoutMs\"") == NULL) {
        return false;
    }
    a->no_timeout_param = true;
    return true;
}

/* Who waits for the budget decides how long; a request that is repeated here would wait in silence. */
static bool is_held_by_budget(const struct error *e)
{
    struct error_cause_text cause;
    return error_cause(e, 0, &cause) && cause.reason == ERROR_CAUSE_DISRUPTION_BUDGET;
}

/* Another master, or later, may do better. */
bool api_worth_retry(const struct error *e)
{
    switch (e->code) {
    case ERR_NOT_LEADER:
    case ERR_NO_QUORUM:
    case ERR_CLOSED:
    case ERR_TIMEOUT:
    case ERR_UNKNOWN_OUTCOME:
    case ERR_CANCELED:
    case ERR_BUSY:
    case ERR_LIMIT:
        return !is_held_by_budget(e);
    default:
        return false;
    }
}

static int give_up(struct api *a, const struct error *last, bool write, bool maybe, bool reached, int64_t waited_ms,
                   struct error *err)
{
    if (write && maybe) {
        return error_set(err, ERR_UNKNOWN_OUTCOME,
                         "no answer within %lld ms, the request may or may not have been carried out (%s); look before "
                         "you repeat it",
                         (long long)waited_ms, last->message);
    }
    if (!reached) {
        CLEANUP_BUF struct buf servers = BUF_INIT;
        for (unsigned i = 0; i < a->servers_count && a->pinned == NULL; i++) {
            buf_printf(&servers, "%s%s", i > 0 ? ", " : "", a->servers[i]);
        }
        return error_set(err, last->code,
                         "no master of cluster \"%s\" answers (%s): %s; \"rctl up\" starts a local cluster", a->cluster,
                         a->pinned != NULL ? a->pinned : buf_cstr(&servers), last->message);
    }
    *err = *last;
    return err->code;
}

/* What became of the last attempt at each master. */
enum verdict { VERDICT_NONE, VERDICT_ALIVE, VERDICT_REFUSES, VERDICT_NO_MAJORITY };

/* One call over all its attempts. */
struct calling {
    struct api_patience patience;
    int64_t start, deadline;
    unsigned tries;
    bool maybe;   /* an attempt may have had its effect */
    bool reached; /* a master got a request */
    enum verdict verdicts[CONFIG_SERVERS_MAX];
    /* What a master said about the cluster: no quorum, no leader. Better than "refused" from a dead one. */
    struct error verdict;
};

/* All masters have been asked: those that can be reached say that they are no majority. */
static bool majority_is_dead(const struct api *a, const struct calling *c)
{
    unsigned said = 0, known = a->pinned != NULL ? 1 : a->servers_count;
    for (unsigned i = 0; i < known; i++) {
        said += c->verdicts[i] == VERDICT_NO_MAJORITY;
        if (c->verdicts[i] == VERDICT_NONE || c->verdicts[i] == VERDICT_ALIVE) {
            return false;
        }
    }
    return said > 0 && api_now() - c->start >= API_DEAD_MS;
}

/* Milliseconds to rest before the next attempt: the first round over all masters is quick, later ones wait for an
 * election to end. */
static int64_t pause_after(struct api *a, const struct calling *c, const struct error *e)
{
    bool stay = e->code == ERR_BUSY || e->code == ERR_LIMIT;
    if (!stay) {
        api_next_server(a);
        if (c->tries % a->servers_count != 0) {
            return 0;
        }
    }
    return e->retry_after_ms > 0 ? e->retry_after_ms : 50 + 50 * (int64_t)MIN(c->tries, 8);
}

/* In the text of the wait: why there is no answer yet, though nobody is asked at the moment. */
static void note_failure(struct api *a, struct calling *c, const struct error *e, bool opened)
{
    if (!opened) {
        api_waits_for(&c->patience, "a master of cluster \"%s\" that answers; %s", a->cluster, e->message);
    } else if (e->code == ERR_NO_QUORUM || e->code == ERR_NOT_LEADER || e->code == ERR_UNKNOWN_OUTCOME) {
        api_waits_for(&c->patience, "the masters are electing a leader");
    } else if (e->code == ERR_BUSY || e->code == ERR_LIMIT) {
        api_waits_for(&c->patience, "%s", e->message);
    }
}

static void note_verdict(struct api *a, struct calling *c, enum api_waited how, struct error *e, bool opened)
{
    unsigned index = a->pinned != NULL ? 0 : a->next_server % a->servers_count;
    c->verdicts[index] = how == API_WAIT_DEAD ? VERDICT_NO_MAJORITY : opened ? VERDICT_ALIVE : VERDICT_REFUSES;
    if (how == API_WAIT_DEAD) {
        const char *colon = strchr(c->patience.text, ':');
        error_set(&c->verdict, ERR_NO_QUORUM,
                  "most of the masters of cluster \"%s\" are down: %s; `rctl cluster status`", a->cluster,
                  colon == NULL ? c->patience.text : colon + 2);
    } else if (how == API_WAIT_SILENT) {
        error_set(e, ERR_TIMEOUT, "no answer within %lld ms", (long long)(api_now() - c->start));
    } else if (a->refused && (e->code == ERR_NO_QUORUM || e->code == ERR_NOT_LEADER)) {
        c->verdict = *e;
    }
    if (how == API_WAIT_DONE) {
        note_failure(a, c, e, opened);
    }
}

/* True when there is no sense in another one: it is done, or refused for good. */
static bool attempt(struct api *a, struct calling *c, const char *method, struct str params, struct attempt *t)
{
    a->round = MIN(c->tries / a->servers_count, API_CONNECT_ROUNDS);
    struct rpc_session *s = api_connect(a);
    int64_t left = MAX(c->deadline - api_now(), 1), silent_ms = API_SILENT_MS << MIN(c->tries / a->servers_count, 4u);
    CLEANUP_BUF struct buf b = BUF_INIT;
    api_add_timeout(a, &b, params, left);
    rpc_call(s, method, buf_str(&b), left, attempt_done, t);
    enum api_waited how = api_wait(a, &c->patience, &t->done, INT64_MAX, API_PROBE_MS, silent_ms);
    if (how != API_WAIT_DONE) {
        if (a->session == s) { /* closing it ends the call, and takes it out of the queue in which it may wait there */
            rpc_session_close(s);
            a->session = NULL;
        }
        api_run(a, &t->done, 0);
    }
    if (!t->failed) {
        return true;
    }
    /* While the session is open the error is a master's answer, or that there was none in time. */
    bool open = a->session == s && rpc_session_is_open(s);
    a->refused = open && t->error.code != ERR_TIMEOUT;
    if (a->refused && api_old_master(a, &t->error)) {
        t->error.code = ERR_BUSY; /* at once, at the same one */
        t->error.retry_after_ms = 1;
        return false;
    }
    c->tries++;
    c->reached = c->reached || t->sent || open;
    if (!open) {
        api_turn(a, 0); /* in which it is told how the connection ended */
    }
    c->maybe = c->maybe || t->error.code == ERR_UNKNOWN_OUTCOME || (t->sent && !a->refused);
    note_verdict(a, c, how, &t->error, open || t->sent);
    return a->refused && !api_worth_retry(&t->error);
}

#define ENVELOPE_ELEMENTS 16u /* around the params, and what each attempt adds */
#define ENVELOPE_BYTES    512u

/* A message that no master reads: each would close the connection at its head, and the next one be asked in vain. */
static int check_size(struct str params, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct rpc_scan scan;
    mp_write_array(&b, 1); /* as a message begins */
    buf_append_str(&b, params);
    rpc_scan_init(&scan);
    scan.elements_max = API_ELEMENTS_MAX - ENVELOPE_ELEMENTS;
    switch (rpc_scan(&scan, b.data, b.size, RPC_MESSAGE_MAX - ENVELOPE_BYTES)) {
    case RPC_SCAN_TOO_MANY:
        return error_set(err, ERR_TOO_LARGE,
                         "the request has more than %u elements (keys and values at all depths), which no master takes "
                         "at once",
                         API_ELEMENTS_MAX - ENVELOPE_ELEMENTS);
    case RPC_SCAN_TOO_LARGE:
        return error_set(err, ERR_TOO_LARGE, "the request has %zu bytes, and no master takes more than %u at once",
                         params.n, RPC_MESSAGE_MAX - ENVELOPE_BYTES);
    default:
        return 0;
    }
}

static int call(struct api *a, const char *method, struct str params, bool write, struct api_reply *out,
                struct error *err)
{
    struct error local;
    err = err == NULL ? &local : err;
    *out = (struct api_reply){0};
    if (check_size(params, err) != 0) {
        a->refused = false;
        return err->code;
    }
    struct calling c = {.start = api_now()};
    a->slow = false;
    api_patience_init(&c.patience);
    c.deadline = c.start + a->deadline_ms;
    for (;;) {
        struct attempt t = {.out = out};
        if (attempt(a, &c, method, params, &t)) {
            if (t.failed) {
                *err = t.error;
            }
            return t.error.code;
        }
        int64_t pause = pause_after(a, &c, &t.error), now = api_now();
        bool nobody = !c.reached && !a->slow && now - c.start > API_REFUSED_MS && c.tries >= a->servers_count;
        if (nobody || now + pause + ATTEMPT_MIN_MS > c.deadline || majority_is_dead(a, &c)) {
            a->refused = c.verdict.code != 0 && !(write && c.maybe);
            return give_up(a, a->refused ? &c.verdict : &t.error, write, c.maybe, c.reached, now - c.start, err);
        }
        if (pause > 0) {
            api_rest(a, &c.patience, pause);
        }
    }
}

int api_read(struct api *a, const char *method, const struct value *params, struct api_reply *out, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, params);
    return call(a, method, buf_str(&b), false, out, err);
}

int api_write(struct api *a, struct arena *arena, const char *method, struct value *params, struct api_reply *out,
              struct error *err)
{
    uint8_t id[16];
    env_random(env_real(), id, sizeof(id));
    value_set(arena, params, "id", value_bin(arena, id, sizeof(id)));
    CLEANUP_BUF struct buf b = BUF_INIT;
    msgpack_write_value(&b, params);
    return call(a, method, buf_str(&b), true, out, err);
}

bool api_refused(const struct api *a)
{
    return a->refused;
}

void api_reply_close(struct api_reply *r)
{
    buf_close(&r->bytes);
    r->result = (struct mp){0};
}
