/* Source: Kubernetes' remotecommand and portforward protocols (v1 to v4 over SPDY, v4 and v5 over WebSocket), and its
 * API reference for what queries say. GET asks for two rights, to read and to create, as Kubernetes 1.35 does; POST
 * for that to create. */
#include "master/rest/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "master/api/write.h"
#include "master/auth/access.h"
#include "master/front/requests.h"
#include "proto/text/text.h"

#define COMMAND_MAX 256u

struct stream_verb {
    const char *name, *node, *get, *create;
    const struct method *row;
    const struct stream_app *app;
};
static const struct stream_verb verbs[] = {
    {"exec", "pod.exec", "get pods/exec", "create pods/exec", &request_exec, &stream_exec},
    {"attach", "pod.attach", "get pods/attach", "create pods/attach", &request_attach, &stream_exec},
    {"portforward", "pod.portforward", "get pods/portforward", "create pods/portforward", &request_portforward,
     &stream_forward},
};

/* What can be agreed on. name "": what is spoken with who offers nothing. */
struct stream_protocol {
    const char *name;
    const struct stream_app *app;
    bool ws;
    unsigned level;
    bool base64, tunnel;
};
static const struct stream_protocol protocols[] = {
    {"v4.channel.k8s.io", &stream_exec, false, 4, false, false},
    {"v3.channel.k8s.io", &stream_exec, false, 3, false, false},
    {"v2.channel.k8s.io", &stream_exec, false, 2, false, false},
    {"channel.k8s.io", &stream_exec, false, 1, false, false},
    {"", &stream_exec, false, 1, false, false},
    {"portforward.k8s.io", &stream_forward, false, 4, false, false},
    {"", &stream_forward, false, 4, false, false},
    {"v5.channel.k8s.io", &stream_exec, true, 5, false, false},
    {"v4.channel.k8s.io", &stream_exec, true, 4, false, false},
    {"v4.base64.channel.k8s.io", &stream_exec, true, 4, true, false},
    {"channel.k8s.io", &stream_exec, true, 1, false, false},
    {"base64.channel.k8s.io", &stream_exec, true, 1, true, false},
    {"", &stream_exec, true, 1, false, false},
    {"SPDY/3.1+portforward.k8s.io", &stream_forward, true, 4, false, true},
    {"v4.channel.k8s.io", &stream_forward, true, 4, false, false},
    {"v4.base64.channel.k8s.io", &stream_forward, true, 4, true, false},
    {"", &stream_forward, true, 4, false, false},
};

unsigned stream_level(const struct rest_stream *s)
{
    return s->protocol->level;
}
bool stream_is_base64(const struct rest_stream *s)
{
    return s->protocol->base64;
}
bool stream_is_tunnel(const struct rest_stream *s)
{
    return s->protocol->tunnel;
}
bool stream_is_ws(const struct rest_stream *s)
{
    return s->protocol->ws;
}
const char *stream_method(const struct rest_stream *s)
{
    return s->verb->name;
}
const char *stream_node_method(const struct rest_stream *s)
{
    return s->verb->node;
}
unsigned stream_flags(const struct rest_stream *s)
{
    return s->verb->row->flags;
}
const char *stream_access(const struct rest_stream *s)
{
    return s->verb->create;
}

static const struct stream_carrier *carrier_of(const struct rest_stream *s)
{
    return s->protocol->ws ? &stream_ws : &stream_spdy;
}

/* ---- What the head says ---- */

/* The first of a client's list that is spoken here. */
static bool choose(struct rest_stream *s, const struct http_request *r, const char *header, bool ws)
{
    bool offered = false;
    for (unsigned i = 0; i < r->headers_count; i++) {
        struct str rest = r->headers[i].value, one = STR_NONE;
        if (!http_is_word(r->headers[i].name, header)) {
            continue;
        }
        while (rest.n > 0) {
            const char *comma = memchr(rest.p, ',', rest.n);
            one = (struct str){rest.p, comma == NULL ? rest.n : (size_t)(comma - rest.p)};
            rest.p += one.n + (comma != NULL);
            rest.n -= one.n + (comma != NULL);
            while (one.n > 0 && (one.p[0] == ' ' || one.p[0] == '\t')) {
                one.p++;
                one.n--;
            }
            while (one.n > 0 && (one.p[one.n - 1] == ' ' || one.p[one.n - 1] == '\t')) {
                one.n--;
            }
            offered |= one.n > 0;
            for (size_t k = 0; k < ARRAY_SIZE(protocols) && one.n > 0; k++) {
                const struct stream_protocol *p = &protocols[k];
                if (p->app == s->does && p->ws == ws && str_is(one, p->name)) {
                    s->protocol = p;
                    return true;
                }
            }
        }
    }
    for (size_t k = 0; k < ARRAY_SIZE(protocols) && !offered; k++) {
        const struct stream_protocol *p = &protocols[k];
        if (p->app == s->does && p->ws == ws && p->name[0] == '\0') {
            s->protocol = p;
            return true;
        }
    }
    return false;
}

/* True unless it is told to be false. */
static bool is_true(struct str v)
{
    return !str_is(v, "0") && !http_is_word(v, "false");
}

static bool read_ports(struct rest_stream *s, struct str list)
{
    while (list.n > 0) {
        const char *comma = memchr(list.p, ',', list.n);
        struct str one = {list.p, comma == NULL ? list.n : (size_t)(comma - list.p)};
        int64_t port;
        list.p += one.n + (comma != NULL);
        list.n -= one.n + (comma != NULL);
        if (!str_to_int64(one, &port) || port < 1 || port > 65535 || s->ports_count == STREAM_PORTS_MAX) {
            return false;
        }
        s->ports[s->ports_count++] = (uint16_t)port;
    }
    return true;
}

/* False: it has been answered. */
static bool read_query(struct rest_stream *s, struct str query)
{
    static const struct {
        const char *name;
        enum stream_use use;
    } uses[] = {{"stdin", STREAM_STDIN}, {"stdout", STREAM_STDOUT}, {"stderr", STREAM_STDERR}};
    struct arena *a = &s->call->own;
    struct str key, value;
    s->command = arena_alloc(a, COMMAND_MAX * sizeof *s->command);
    while (http_query_next(&query, &key, &value)) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        if (!http_decode(&text, value, true)) {
            rest_answer_failure(s->call, 400,
                                "the query is malformed: an escape must be %% and two hexadecimal digits");
            return false;
        }
        struct str v = {arena_strndup(a, text.size == 0 ? "" : (const char *)text.data, text.size), text.size};
        for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
            if (str_is(key, uses[i].name)) {
                s->wants[uses[i].use] = is_true(v);
            }
        }
        if (str_is(key, "tty")) {
            s->tty = is_true(v);
        } else if (str_is(key, "container")) {
            s->container = v;
        } else if (str_is(key, "ports") && !read_ports(s, v)) {
            rest_answer_failure(s->call, 400, "ports: numbers from 1 to 65535 are wanted, %u at most",
                                STREAM_PORTS_MAX);
            return false;
        } else if (str_is(key, "command") && s->command_count == COMMAND_MAX) {
            rest_answer_failure(s->call, 400, "command: more than %u words", COMMAND_MAX);
            return false;
        } else if (str_is(key, "command")) {
            s->command[s->command_count++] = v;
        }
    }
    return true;
}

static bool check_query(struct rest_stream *s)
{
    struct rest_call *c = s->call;
    if (s->tty) {
        s->wants[STREAM_STDERR] = false; /* a terminal has one output */
    }
    if (s->does == &stream_exec && !s->wants[STREAM_STDIN] && !s->wants[STREAM_STDOUT] && !s->wants[STREAM_STDERR]) {
        rest_answer_failure(c, 400, "you must specify at least 1 of stdin, stdout, stderr");
        return false;
    }
    if (s->verb->row == &request_exec && s->command_count == 0) {
        rest_answer_failure(c, 400, "you must specify at least one command for the container");
        return false;
    }
    if (s->protocol->app == &stream_forward && s->protocol->ws && !s->protocol->tunnel && s->ports_count == 0) {
        rest_answer_failure(c, 400, "you must specify at least 1 port: ?ports=N");
        return false;
    }
    s->wants[STREAM_ERROR] = true;
    s->wants[STREAM_RESIZE] = s->tty;
    return true;
}

/* What the connection is to become. */
static bool read_upgrade(struct rest_stream *s, const struct http_request *r)
{
    struct rest_call *c = s->call;
    bool upgrade = http_header_has(r, "Connection", "Upgrade");
    bool ws = upgrade && http_header_has(r, "Upgrade", "websocket");
    if (!ws && !(upgrade && http_header_has(r, "Upgrade", "SPDY/3.1"))) {
        rest_answer_failure(c, 400, "Upgrade request required: SPDY/3.1, or websocket");
        return false;
    }
    if (r->minor == 0 || c->conn->in.body.size > 0) {
        rest_answer_failure(c, 400, "an upgrade is asked for in HTTP/1.1, without a body");
        return false;
    }
    if (ws) {
        CLEANUP_BUF struct buf key = BUF_INIT;
        if (!str_is(r->method, "GET") || !str_is(http_header(r, "Sec-WebSocket-Version"), "13") ||
            !ws_accept(&key, http_header(r, "Sec-WebSocket-Key"))) {
            rest_answer_failure(c, 400,
                                "a WebSocket is asked for by GET, with Sec-WebSocket-Version: 13 and a "
                                "Sec-WebSocket-Key of 16 bytes in base64");
            return false;
        }
        s->key = (struct str){arena_strndup(&c->own, (const char *)key.data, key.size), key.size};
    }
    if (!choose(s, r, ws ? "Sec-WebSocket-Protocol" : "X-Stream-Protocol-Version", ws)) {
        rest_answer_failure(c, 403, "unable to upgrade: none of the protocols that were offered is served here; %s",
                            s->does == &stream_forward ? "portforward.k8s.io is"
                            : ws                       ? "v5.channel.k8s.io and v4.channel.k8s.io are"
                                                       : "v4.channel.k8s.io is");
        return false;
    }
    return true;
}

bool rest_stream_decide(struct rest_call *c, const struct http_request *r)
{
    struct rest_stream *s = xcalloc(1, sizeof *s);
    c->upgrade = s;
    s->call = c;
    list_init(&s->channels);
    spdy_in_init(&s->spdy_in);
    spdy_out_init(&s->spdy_out);
    ws_in_init(&s->ws_in);
    s->by_get = str_is(r->method, "GET");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        s->verb = str_is(c->path.part, verbs[i].name) ? &verbs[i] : s->verb;
    }
    assert(s->verb != NULL); /* rest_parts names no other */
    s->does = s->verb->app;
    return read_upgrade(s, r) && read_query(s, r->query) && check_query(s);
}

void rest_stream_free(struct rest_stream *s)
{
    if (s == NULL) {
        return;
    }
    assert(s->app == NULL);
    LIST_FOR_SAFE(it, &s->channels)
    {
        stream_channel_free(LIST_ENTRY(it, struct stream_channel, link));
    }
    spdy_in_close(&s->spdy_in);
    spdy_out_close(&s->spdy_out);
    ws_in_close(&s->ws_in);
    buf_close(&s->text);
    free(s);
}

size_t rest_stream_held(const struct rest_stream *s)
{
    return s->held + s->kept + spdy_in_held(&s->spdy_in) + s->ws_in.piece.cap + s->text.cap;
}

/* ---- The errand ---- */

/* It is judged here, on what is newest, on every master; what it opens it opens over this master's own link. */
void rest_stream_start(struct rest_call *c)
{
    c->e.name = str_of(c->upgrade->verb->name);
    c->e.flags = 0;
    c->e.newest = true;
}

const char *rest_stream_access(struct rest_call *c, struct str *ns, struct str *name)
{
    const struct rest_stream *s = c->upgrade;
    *ns = c->path.ns;
    *name = c->path.name;
    return s->by_get && !s->may_get ? s->verb->get : s->verb->create;
}

void rest_stream_here(struct rest_call *c)
{
    struct rest_stream *s = c->upgrade;
    if (s->by_get && !s->may_get) {
        s->may_get = true;
        if (!errand_allowed(&c->e, NULL)) {
            return;
        }
    }
    s->does->here(s);
}

/* When its container began, as its status says; INT64_MAX: it says nothing yet, so it has just begun. */
static int64_t began_ms(const struct object *pod, struct str container)
{
    static const char *const lists[] = {"containerStatuses", "ephemeralContainerStatuses", "initContainerStatuses"};
    int64_t ms = INT64_MAX, at;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter it = mp_iter(mp_get(object_status(pod), lists[i])); mp_next(&it);) {
            struct str since = mp_str(mp_path(it.value, "state.running.startedAt"));
            if (str_eq(mp_str(mp_get(it.value, "name")), container) && timefmt_parse(since, &at)) {
                ms = at;
            }
        }
    }
    return ms;
}

/* Is it for who has just made the pod (`kubectl run -it`), and wants to see all that it says? Kubernetes shows what is
 * said from the attach on, so what a short command says is often lost. */
static bool wants_all(const struct rest_stream *s)
{
    const struct master *m = s->call->e.api.m;
    const struct object *pod = view_get(store_committed(replica_store(m->replica)), kind_by_id(KIND_POD),
                                        s->call->path.ns, s->call->path.name);
    struct str container = s->container;
    if (pod != NULL && container.n == 0) { /* as the agent chooses */
        container = object_annotation(pod, "kubectl.kubernetes.io/default-container");
    }
    if (pod != NULL && container.n == 0) {
        struct mp_iter first = mp_iter(mp_get(object_spec(pod), "containers"));
        container = mp_next(&first) ? mp_str(mp_get(first.value, "name")) : STR_NONE;
    }
    return pod != NULL && began_ms(pod, container) > env_wall_ms(m->env) - STREAM_YOUNG_MS;
}

void stream_write_params(const struct rest_stream *s, struct buf *b, unsigned port)
{
    bool exec = s->does == &stream_exec, attach = s->verb->row == &request_attach;
    mp_write_map(b, 2u + (port > 0) + (s->container.n > 0) + (exec ? 4 : 0) + (s->command_count > 0 && exec) + attach);
    mp_write_key_str(b, "namespace", s->call->path.ns);
    mp_write_key_str(b, "name", s->call->path.name);
    if (port > 0) {
        mp_write_key_int(b, "port", port);
    }
    if (s->container.n > 0) {
        mp_write_key_str(b, "container", s->container);
    }
    if (exec && s->command_count > 0) {
        mp_write_cstr(b, "command");
        mp_write_array(b, s->command_count);
        for (unsigned i = 0; i < s->command_count; i++) {
            mp_write_str(b, s->command[i]);
        }
    }
    if (exec) {
        mp_write_key_bool(b, "stdin", s->wants[STREAM_STDIN]);
        mp_write_key_bool(b, "stdout", s->wants[STREAM_STDOUT]);
        mp_write_key_bool(b, "stderr", s->wants[STREAM_STDERR]);
        mp_write_key_bool(b, "tty", s->tty);
    }
    if (attach) {
        mp_write_key_bool(b, "fromStart", wants_all(s));
    }
}

bool rest_stream_write(struct rest_call *c, struct buf *b)
{
    mp_write_key_str(b, "method", c->e.name);
    mp_write_cstr(b, "params");
    stream_write_params(c->upgrade, b, 0);
    return true;
}

/* ---- Channels ---- */

struct stream_channel *stream_channel_new(struct rest_stream *s, uint32_t id, enum stream_use use)
{
    struct stream_channel *ch = xcalloc(1, sizeof *ch);
    ch->stream = s;
    ch->id = id;
    ch->use = use;
    list_push_back(&s->channels, &ch->link);
    s->channels_count++;
    return ch;
}

void stream_channel_free(struct stream_channel *ch)
{
    ch->stream->channels_count--;
    list_remove(&ch->link);
    free(ch);
}

struct stream_channel *stream_channel_by_id(struct rest_stream *s, uint32_t id)
{
    LIST_FOR(it, &s->channels)
    {
        struct stream_channel *ch = LIST_ENTRY(it, struct stream_channel, link);
        if (ch->id == id) {
            return ch;
        }
    }
    return NULL;
}

void stream_write(struct stream_channel *ch, struct str bytes, bool fin)
{
    if (ch == NULL || ch->out_over || ch->stream->state != STREAM_OPEN) {
        return;
    }
    ch->out_over = fin;
    ch->stream->active_ms = env_now_ms(ch->stream->call->e.api.m->env);
    carrier_of(ch->stream)->write(ch, bytes, fin);
}

bool stream_is_full(const struct rest_stream *s)
{
    return s->call->conn != NULL && rest_conn_is_full(s->call->conn);
}

void stream_hold(struct rest_stream *s, size_t more, size_t less)
{
    assert(s->held + more >= less);
    s->held += more - less;
    if (s->call->conn != NULL && s->state == STREAM_OPEN) {
        rest_conn_pause(s->call->conn, s->held >= STREAM_HELD_MAX);
    }
}

/* ---- From the 101 to the end ---- */

void stream_upgrade(struct rest_stream *s)
{
    struct rest_call *c = s->call;
    CLEANUP_BUF struct buf head = BUF_INIT;
    struct str name = str_of(s->protocol->name);
    assert(s->state == STREAM_ASKED && c->conn != NULL);
    s->state = STREAM_OPEN;
    s->since_ms = s->active_ms = env_now_ms(c->e.api.m->env);
    c->keep_alive = false; /* nothing but this stream comes on it */
    http_put_status(&head, 101);
    rest_put_audit(c, &head, 101);
    http_put_header(&head, "Connection", STR("Upgrade"));
    http_put_header(&head, "Upgrade", s->protocol->ws ? STR("websocket") : STR("SPDY/3.1"));
    if (s->protocol->ws) {
        http_put_header(&head, "Sec-WebSocket-Accept", s->key);
    }
    if (name.n > 0) {
        http_put_header(&head, s->protocol->ws ? "Sec-WebSocket-Protocol" : "X-Stream-Protocol-Version", name);
    }
    http_put_end(&head);
    errand_end(&c->e);
    rest_conn_send(c->conn, buf_str(&head));
    carrier_of(s)->begin(s);
    rest_conn_upgraded(c->conn, true);
}

/* The connection stays until the client hangs up: what it sends meanwhile must not cut what it has not read. */
static void finish(struct rest_stream *s, const char *why)
{
    if (s->state != STREAM_OPEN) {
        return;
    }
    carrier_of(s)->end(s, why);
    s->state = STREAM_ENDING;
    s->active_ms = env_now_ms(s->call->e.api.m->env);
    s->until_ms = s->active_ms + STREAM_LINGER_MS;
    s->does->lost(s);
    rest_conn_pause(s->call->conn, false);
}

void rest_stream_end(struct rest_stream *s)
{
    finish(s, NULL);
}

void stream_fail(struct rest_stream *s, const char *why)
{
    if (s->state == STREAM_OPEN) {
        s->call->e.api.m->stats.rest_malformed++;
    }
    finish(s, why);
}

void rest_stream_feed(struct rest_call *c, const void *p, size_t n)
{
    struct rest_stream *s = c->upgrade;
    s->active_ms = env_now_ms(c->e.api.m->env);
    if (s->state == STREAM_OPEN) {
        carrier_of(s)->feed(s, p, n);
    }
}

void rest_stream_drained(struct rest_call *c)
{
    struct rest_stream *s = c->upgrade;
    if (s->state == STREAM_OPEN) {
        s->active_ms = env_now_ms(c->e.api.m->env);
        s->does->drained(s);
    }
}

/* All is said. However slowly it is read, it is read: who takes nothing is waited for as before. */
static void tick_ending(struct rest_stream *s, int64_t now_ms)
{
    size_t untaken = rest_conn_untaken(s->call->conn);
    if (untaken != s->untaken) {
        s->untaken = untaken;
        s->active_ms = now_ms;
        s->until_ms = now_ms + STREAM_LINGER_MS;
    }
    if (now_ms >= s->until_ms && (untaken == 0 || now_ms - s->active_ms >= STREAM_IDLE_MS)) {
        rest_call_leave(s->call);
    }
}

void rest_stream_tick(struct rest_call *c, int64_t now_ms)
{
    struct rest_stream *s = c->upgrade;
    if (s->state == STREAM_OPEN && s->does->waits(s) && now_ms - s->since_ms >= STREAM_SETUP_MS) {
        stream_fail(s, "the streams that were asked for did not come in time");
    } else if (s->state == STREAM_OPEN && now_ms - s->active_ms >= STREAM_IDLE_MS) {
        stream_fail(s, "nothing has been sent or taken for four hours");
    } else if (s->state == STREAM_ENDING) {
        tick_ending(s, now_ms);
    }
}

void rest_stream_lost(struct rest_call *c)
{
    struct rest_stream *s = c->upgrade;
    if (s->state == STREAM_ASKED && s->app == NULL) {
        return; /* the errand comes back, and is failed */
    }
    if (s->state == STREAM_ASKED) {
        errand_end(&c->e);
    }
    if (s->state != STREAM_ENDING) {
        s->does->lost(s);
    }
    rest_call_free(c);
}
