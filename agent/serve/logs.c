/* Logs: followed from a place on, and resumed at it. A request is answered when its log is open. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/serve/serve.h"
#include "agent/util/defer.h"
#include "base/timefmt.h"

#define LOG_PLACE_MAX 256

struct log_stream {
    struct list link;
    struct agent *agent;
    struct rpc_request *request;   /* until the log is open */
    struct rpc_stream *stream;     /* NULL when over */
    struct logfile_reader *reader; /* NULL when over */
    char uid[64], container[64], pod[256];
    unsigned attempt;
    bool ended;                 /* our side of the stream */
    struct buf held;            /* read, not yet taken by the stream */
    bool places;                /* the client wants to know where it is */
    bool news, gap;             /* a place, a gap that it does not know yet */
    struct logfile_position at; /* behind `held` */
    int64_t since_wall_ms;
};

/* ---- Places, as clients carry them: UID/ATTEMPT/OFFSET/HEAD/IN-LINE/SINCE. Opaque to all but the agent of that
 * node. ---- */

static void place_write(const struct log_stream *l, char out[LOG_PLACE_MAX])
{
    snprintf(out, LOG_PLACE_MAX, "%s/%u/%" PRIu64 "/%016" PRIx64 "/%d/%" PRId64, l->uid, l->attempt, l->at.offset,
             l->at.head, l->at.in_line, l->since_wall_ms);
}

static int place_read(struct str text, const struct agent_pod *ap, unsigned *attempt, struct logfile_options *o,
                      struct error *err)
{
    char copy[LOG_PLACE_MAX], uid[64], more;
    int in_line = 0;
    snprintf(copy, sizeof copy, "%.*s", STR_ARG(text));
    if (text.n >= sizeof copy || sscanf(copy, "%63[^/]/%u/%" SCNu64 "/%" SCNx64 "/%d/%" SCNd64 "%c", uid, attempt,
                                        &o->after.offset, &o->after.head, &in_line, &o->since_wall_ms, &more) != 6) {
        return error_set_field(err, ERR_USAGE, "after", "logs: this is no place in a log of node %s", ap->agent->name);
    }
    if (strcmp(uid, ap->uid) != 0) {
        return error_set(err, ERR_NOT_FOUND, "pod \"%s\" was replaced by another one of its name; its log is gone",
                         ap->name);
    }
    o->after.in_line = in_line != 0;
    o->resume = true;
    return 0;
}

static void log_maybe_free(struct log_stream *l)
{
    if (l->stream == NULL && l->reader == NULL) {
        list_remove(&l->link);
        buf_close(&l->held);
        free(l);
    }
}

static bool log_send(struct log_stream *l)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (l->stream == NULL || (l->held.size == 0 && !l->news && !l->gap)) {
        return true;
    }
    if (l->places) {
        char place[LOG_PLACE_MAX];
        place_write(l, place);
        mp_write_map(&b, 2 + l->gap);
        mp_write_key_str(&b, "after", str_of(place));
        if (l->gap) {
            mp_write_key_bool(&b, "gap", true);
        }
        mp_write_cstr(&b, "text");
    }
    mp_write_bin(&b, l->held.data, l->held.size);
    if (rpc_stream_write(l->stream, buf_str(&b)) != 0) {
        return false;
    }
    l->news = l->gap = false;
    buf_reset(&l->held);
    return true;
}

static const struct rpc_stream_events log_stream_events;

/* The log is there: only now the request is answered, so that a log that is not is told by an error. */
static void log_on_begin(struct logfile_reader *r, void *data)
{
    struct log_stream *l = data;
    l->agent->pending--;
    l->stream = rpc_stream_accept(TAKE_PTR(l->request), &log_stream_events, l);
    if (l->stream == NULL) { /* whoever asked is gone */
        l->reader = NULL;
        logfile_cancel(r);
        log_maybe_free(l);
        return;
    }
    l->at = logfile_tell(r);
    l->news = l->places;
    if (!log_send(l)) {
        logfile_pause(r, true);
    }
}

static void log_on_gap(struct logfile_reader *r, void *data)
{
    struct log_stream *l = data;
    (void)r;
    l->gap = l->places; /* goes out with what comes next */
}

static void log_end(struct log_stream *l, const struct error *err)
{
    if (!l->ended && l->stream != NULL && (l->held.size == 0 || err != NULL)) {
        l->ended = true;
        rpc_stream_end(l->stream, err);
    }
}

static void log_on_data(struct logfile_reader *r, const uint8_t *p, size_t n, void *data)
{
    struct log_stream *l = data;
    buf_append(&l->held, p, n);
    l->at = logfile_tell(r);
    if (!log_send(l)) {
        logfile_pause(r, true);
    }
}

static void log_on_end(struct logfile_reader *r, const struct error *error, void *data)
{
    struct log_stream *l = data;
    (void)r;
    l->reader = NULL;
    if (l->request != NULL) {
        assert(error != NULL); /* else it would have begun */
        struct error err = *error;
        if (err.code == ERR_NOT_FOUND) { /* its path is the node's business */
            error_set(&err, ERR_NOT_FOUND,
                      "node %s has no log of container \"%s\" of pod \"%s\", life %u: it was removed, or never begun",
                      l->agent->name, l->container, l->pod, l->attempt);
        }
        l->agent->pending--;
        rpc_reply_error(TAKE_PTR(l->request), &err);
    } else if (log_send(l) || error != NULL) {
        log_end(l, error);
    }
    log_maybe_free(l);
}

static void log_on_writable(struct rpc_stream *st, void *data)
{
    struct log_stream *l = data;
    (void)st;
    if (!log_send(l)) {
        return;
    }
    if (l->reader != NULL) {
        logfile_pause(l->reader, false);
    } else {
        log_end(l, NULL);
    }
}

static void log_ignore(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    (void)payload, (void)data;
    rpc_stream_consumed(st, n);
}

static void log_stream_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct log_stream *l = data;
    (void)err;
    if (!l->ended) {
        l->ended = true;
        rpc_stream_end(st, NULL);
    }
    l->stream = NULL;
    if (l->reader != NULL) {
        logfile_cancel(l->reader);
        l->reader = NULL;
    }
    log_maybe_free(l);
}

static const struct rpc_stream_events log_stream_events = {
    .on_data = log_ignore, .on_writable = log_on_writable, .on_end = log_stream_end};
static const struct logfile_events log_reader_events = {
    .on_begin = log_on_begin, .on_gap = log_on_gap, .on_data = log_on_data, .on_end = log_on_end};

/* Which attempt's file, and whether it may still grow. */
static int log_target(const struct container *c, bool previous, unsigned *attempt, bool *grows, struct error *err)
{
    if (previous) {
        bool ended_newest = c->end.set && c->state != CONTAINER_DONE; /* it waits for its next attempt */
        if (!c->last.set && !ended_newest) {
            return error_set(err, ERR_NOT_FOUND, "previous terminated container \"%s\" in pod \"%s\" not found",
                             c->spec->name, c->pod->spec->name);
        }
        *attempt = ended_newest ? c->end.attempt : c->last.attempt;
        *grows = false;
        return 0;
    }
    if (!c->has_run) {
        return error_set(err, ERR_USAGE, "container \"%s\" in pod \"%s\" is waiting to start: %s", c->spec->name,
                         c->pod->spec->name,
                         c->reason[0] != '\0'                                     ? c->reason
                         : c->pod->spec->init_count > 0 && !c->spec->is_ephemeral ? "PodInitializing"
                                                                                  : "ContainerCreating");
    }
    *attempt = c->attempt;
    *grows = container_is_up(c);
    return 0;
}

/* With a place: the life of the container that it is in, which may be an earlier one by now. */
static int log_choose(struct agent *a, const struct agent_pod *ap, const struct container *c, struct mp params,
                      unsigned *attempt, struct logfile_options *o, struct error *err)
{
    struct str after = mp_str(mp_get(params, "after"));
    int64_t since_s = mp_int(mp_get(params, "sinceSeconds"), 0), now_ms = env_wall_ms(a->env),
            since_ms = since_s > 0 && since_s < now_ms / 1000 ? now_ms - since_s * 1000 : 0;
    struct str since_time = mp_str(mp_get(params, "sinceTime"));
    bool grows = false;
    if (!str_empty(since_time) && since_s > 0) {
        return error_set_field(err, ERR_USAGE, "sinceTime", "logs: sinceTime and sinceSeconds exclude each other");
    }
    if (!str_empty(since_time) && !timefmt_parse(since_time, &since_ms)) {
        return error_set_field(err, ERR_USAGE, "sinceTime", "logs: \"%.*s\" is no time as RFC 3339 has it",
                               (int)MIN(since_time.n, (size_t)64), since_time.p);
    }
    *o = (struct logfile_options){
        .tail_lines = mp_int(mp_get(params, "tailLines"), -1),
        .since_wall_ms = since_ms,
        .limit_bytes = mp_int(mp_get(params, "limitBytes"), 0),
        .timestamps = mp_bool(mp_get(params, "timestamps"), false),
    };
    int rv = str_empty(after) ? log_target(c, mp_bool(mp_get(params, "previous"), false), attempt, &grows, err)
                              : place_read(after, ap, attempt, o, err);
    if (rv == 0 && !str_empty(after) && !c->has_run) { /* the agent has started, and starts it */
        return error_set(err, ERR_BUSY, "container \"%s\" in pod \"%s\" is about to start again", c->spec->name,
                         ap->name);
    }
    if (rv == 0 && !str_empty(after)) {
        grows = *attempt == c->attempt && c->has_run && container_is_up(c);
    }
    o->follow = grows && mp_bool(mp_get(params, "follow"), false);
    return rv;
}

void serve_logs(struct agent *a, struct rpc_request *r, struct mp params)
{
    struct error err;
    struct agent_pod *ap = serve_find_pod(a, params, &err);
    struct container *c = ap == NULL ? NULL : serve_find_container(ap, params, &err);
    unsigned attempt = 0;
    struct logfile_options o;
    if (c == NULL || log_choose(a, ap, c, params, &attempt, &o, &err) != 0) {
        rpc_reply_error(r, &err);
        return;
    }
    char path[LOGFILE_PATH_MAX];
    logfile_path(path, a->logs_dir, ap->ns, ap->name, ap->uid, c->spec->name, attempt);
    struct log_stream *l = xcalloc(1, sizeof *l);
    list_init(&l->link);
    snprintf(l->uid, sizeof l->uid, "%s", ap->uid);
    snprintf(l->container, sizeof l->container, "%s", c->spec->name);
    l->attempt = attempt;
    l->places = mp_bool(mp_get(params, "places"), false);
    l->since_wall_ms = o.since_wall_ms;
    l->at = o.after;
    snprintf(l->pod, sizeof l->pod, "%s", ap->name);
    l->agent = a;
    l->request = r;
    a->pending++;
    list_push_back(&a->readers, &l->link);
    l->reader = logfile_read(a->loop, path, &o, &log_reader_events, l);
}

void serve_container_ended(struct agent *a, const char *uid, const char *container, unsigned attempt)
{
    LIST_FOR_SAFE(it, &a->readers)
    {
        struct log_stream *l = LIST_ENTRY(it, struct log_stream, link);
        if (l->reader != NULL && l->attempt == attempt && strcmp(l->uid, uid) == 0 &&
            strcmp(l->container, container) == 0) {
            logfile_finish(l->reader);
        }
    }
}
