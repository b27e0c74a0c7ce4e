/* Runs tests/script/rest/NAME.txt: requests over HTTP, bytes in and bytes out, and a store of one master on a simulated
 * disk behind them. No connection and no TLS: those are shown by client_habits_kubectl. Commands:
 *
 *   ask [NAME] [as=admin|node|none|USER] [show=PATH,...] [pieces=N]
 *                 body: "METHOD TARGET", headers, an empty line, the request's body. NAME: the connection, made anew
 *                 where there is none; it stays (without: one for this request alone). Shows the status, the headers
 *                 that matter, and the answer's body, or what stands at the paths in it ("items.metadata.name": of
 *                 every item; "#items": how many there are; "#lines")
 *                 $TOKEN in it: what the last list said that it goes on with; $B1: the first token of an account
 *                 that was given, or that a Secret was shown with, $B2 the next one; $W1: the first one in base64url; $F1: header and claims of it,
 *                 and a signature without its last six characters
 *   keys          the masters have keys that sign tokens
 *   rotate        another key signs, as of `rctl cert rotate-tokens`
 *   large NAME N  a Secret that asks for a token of account web, with N bytes of its own
 *   clock S       the clock on the wall goes on by so much
 *   flood N       N requests without a certificate, with the body as token (# is a number of five digits): were there 401, or 429?
 *   tries         how many tokens could not be written into their Secrets
 *   strangers     how many connections have not proven who they are
 *   unwelcome NAME   there is no place for who proves on it who he is; said again, there is
 *   bytes NAME    body: what is sent as it stands, with \r and \n written so
 *   events NAME   what has come on it since
 *   apply         body: objects in YAML, created
 *   many N BYTES  so many ConfigMaps "many-I" with so much data
 *   held NAME     what waits for a deaf peer, in steps of 256 KiB
 *   advance S     time passes
 *   deaf NAME, hear NAME   the peer takes nothing, takes all again
 *   cut           this master, which leads, hears of the two others no more (they are in leaderless.txt alone)
 *   close NAME    the peer hangs up */
#include "tests/script/script.h"
#include "tests/unit/raft-store_cluster.h"

#include "master/api/read.h"
#include "master/api/watch.h"
#include "master/auth/account_keys.h"
#include "master/auth/bearer.h"
#include "master/auth/departed.h"
#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/auth/secret_tokens.h"
#include "master/front/ask.h"
#include "master/front/errand.h"
#include "master/front/parked.h"
#include "master/nodes/feeds.h"
#include "master/rest/conn.h"
#include "master/rest/rest.h"
#include "proto/facts/storage.h"
#include "proto/facts/toleration.h"
#include "proto/openapi/openapi.h"
#include "proto/schema/release.h"

#define CONNS_MAX   16u
#define BEARERS_MAX 9u

struct world;
struct wire {
    struct world *world;
    char name[16];
    struct session session;
    struct rest_conn *conn; /* NULL: not open */
    struct buf out, held;   /* held: what a deaf peer has not taken */
    size_t shown;
    bool deaf, closed;
    bool unwelcome; /* there is no place for who has proven who he is */
};
struct world {
    struct cluster c;
    struct master *m;
    struct wire wires[CONNS_MAX];
    char token[512]; /* the last "continue", as it stands in a query */
    uint64_t leader; /* as this master knows; 0: none */
    char *bearers[BEARERS_MAX];
    unsigned bearers_count;
    struct env env; /* the simulator's, with a clock on the wall of its own */
    int64_t ahead_ms;
};

/* ---- The wire ---- */

static void wire_send(void *data, const void *p, size_t n)
{
    struct wire *w = data;
    buf_append(w->deaf ? &w->held : &w->out, p, n);
}
static size_t wire_pending(const void *data)
{
    return ((const struct wire *)data)->held.size;
}
static void wire_pause(void *data, bool paused)
{
    (void)data;
    (void)paused;
}
static void wire_abort(void *data)
{
    ((struct wire *)data)->closed = true;
}
static void wire_close(void *data, int64_t patience_ms)
{
    assert_true(patience_ms > 0);
    wire_abort(data);
}
static bool wire_proven(void *data, const struct pki_identity *who)
{
    (void)who;
    return !((const struct wire *)data)->unwelcome;
}
static const struct rest_wire test_wire = {.send = wire_send,
                                           .pending = wire_pending,
                                           .pause = wire_pause,
                                           .untaken = wire_pending,
                                           .close = wire_close,
                                           .abort = wire_abort,
                                           .proven = wire_proven};

static bool way_is_open(const struct session *s)
{
    return CONTAINER_OF(s, struct wire, session)->conn != NULL;
}
static void way_close(struct session *s)
{
    CONTAINER_OF(s, struct wire, session)->closed = true;
}
static void way_shed(struct session *s, const char *why)
{
    (void)why;
    way_close(s);
}
static size_t way_held(const struct session *s)
{
    return CONTAINER_OF(s, struct wire, session)->held.size;
}
static unsigned way_inflight(const struct session *s)
{
    return s->http->call != NULL;
}
static const char *way_addr(const struct session *s)
{
    (void)s;
    return "192.0.2.1:1";
}
static const struct session_way test_way = {way_is_open, way_close, way_shed, way_held, way_inflight, way_addr};

static struct pki_identity who_of(const char *as)
{
    if (as != NULL && strcmp(as, "node") == 0) {
        return (struct pki_identity){PKI_ROLE_NODE, "n1"};
    }
    if (as != NULL && strcmp(as, "none") == 0) {
        return (struct pki_identity){PKI_ROLE_NONE, ""};
    }
    struct pki_identity who = {PKI_ROLE_ADMIN, "ann"};
    if (as != NULL && strcmp(as, "admin") != 0) {
        who.role = PKI_ROLE_USER;
        snprintf(who.name, sizeof who.name, "%s", as);
    }
    return who;
}

static void wire_open(struct wire *w, const char *as)
{
    struct master *m = w->world->m;
    struct session *s = &w->session;
    struct principal principal;
    *s = (struct session){.m = m, .way = &test_way, .who = who_of(as)};
    principal_of_certificate(&principal, &s->who, NULL);
    s->principal = principal_share(&principal);
    s->subject = subject_get(m->turns, &s->who, "192.0.2.1:1");
    lane_init(&s->lane, s->subject);
    list_init(&s->link);
    list_init(&s->stranger_link);
    list_push_back(&m->sessions, &s->link);
    if (s->who.role == PKI_ROLE_NONE) {
        list_push_back(&m->strangers, &s->stranger_link);
    }
    w->conn = rest_conn_new(s, &test_wire, w);
}

static void wire_hang_up(struct wire *w)
{
    struct session *s = &w->session;
    if (w->conn == NULL) {
        return;
    }
    rest_conn_gone(TAKE_PTR(w->conn));
    errands_on_session_closed(s);
    subject_unref(s->m->turns, s->subject);
    principal_unref(s->principal);
    list_remove(&s->link);
    list_remove(&s->stranger_link);
    buf_close(&w->out);
    buf_close(&w->held);
    w->shown = 0;
    w->name[0] = '\0';
    w->deaf = w->closed = w->unwelcome = false;
}

/* name NULL: one that nobody has. */
static struct wire *wire_named(struct world *w, const char *name, const char *as)
{
    for (unsigned i = 0; i < CONNS_MAX && name != NULL; i++) {
        if (w->wires[i].conn != NULL && strcmp(w->wires[i].name, name) == 0) {
            return &w->wires[i];
        }
    }
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        struct wire *wire = &w->wires[i];
        if (wire->conn == NULL) {
            snprintf(wire->name, sizeof wire->name, "%s", name == NULL ? "-" : name);
            wire_open(wire, as);
            return wire;
        }
    }
    fail_msg("too many connections");
    return NULL;
}

/* ---- The loop ---- */

static void turn_once(struct world *w)
{
    struct master *m = w->m;
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    if (leader != w->leader) {
        w->leader = leader;
        calls_on_leader_known(m, leader);
        parked_on_leader(m);
    }
    while (turns_run(m->turns)) {
    }
    account_keys_advance(m);
    watch_table_advance(m->watches, false);
    while (watch_table_turn(m->watches)) {
    }
    rest_turn(m);
    parked_look(m);
}

static void run_ms(struct world *w, int64_t ms)
{
    int64_t until = w->c.sim.now_ms + ms, tick = w->c.sim.now_ms + 500;
    while (w->c.sim.now_ms < until) {
        step(&w->c);
        turn_once(w);
        if (w->c.sim.now_ms >= tick) {
            tick += 500;
            rest_tick(w->m);
            account_keys_tick(w->m);
            secret_tokens_look(w->m);
            secret_tokens_tick(w->m);
            list_pages_expire(w->m->pages, w->c.sim.now_ms);
        }
    }
}

/* ---- Answers ---- */

/* A value at a path, of every element of the lists on the way. */
static void show_at(struct buf *out, const struct value *v, const char *path)
{
    if (value_is_list(v)) {
        VALUE_FOR(i, v)
        {
            buf_puts(out, i > 0 ? " " : "");
            show_at(out, value_item(v, i), path);
        }
    } else if (*path == '\0' && v == NULL) {
        buf_puts(out, "-");
    } else if (*path == '\0') {
        json_write(out, v, 0);
    } else {
        size_t n = strcspn(path, ".");
        show_at(out, value_get_str_key(v, (struct str){path, n}), path + n + (path[n] == '.'));
    }
}

static void show_body(struct buf *out, struct str body, const char *paths)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    arena_init(&a);
    if (paths != NULL && strcmp(paths, "#lines") == 0) {
        unsigned lines = 0;
        for (size_t i = 0; i < body.n; i++) {
            lines += body.p[i] == '\n';
        }
        buf_printf(out, "%u lines\n", lines);
        return;
    }
    if (paths == NULL || json_read(&a, body, &doc, NULL) != 0) {
        buf_append_str(out, body);
        buf_puts(out, body.n > 0 && body.p[body.n - 1] != '\n' ? "\n" : "");
        return;
    }
    char *copy = arena_strdup(&a, paths), *save = NULL;
    for (char *p = strtok_r(copy, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
        buf_printf(out, "%s: ", p);
        if (p[0] == '#') {
            buf_printf(out, "%u", value_count(value_path(doc, p + 1)));
        } else {
            show_at(out, doc, p);
        }
        buf_putc(out, '\n');
    }
}

static bool header_matters(const char *line)
{
    static const char *const names[] = {
        "Content-Type: ", "Warning: ", "Retry-After: ", "Connection: ", "Transfer-Encoding: "};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strncmp(line, names[i], strlen(names[i])) == 0) {
            return strcmp(line, "Content-Type: application/json") != 0;
        }
    }
    return false;
}

/* The chunks that are whole, without their frames; `at` moves behind them. True: the last one was among them. */
static bool take_chunks(struct str text, size_t *at, struct buf *out)
{
    for (;;) {
        const char *line = text.p + *at, *end = *at >= text.n ? NULL : memchr(line, '\n', text.n - *at);
        size_t n = end == NULL ? 0 : strtoul(line, NULL, 16), head = end == NULL ? 0 : (size_t)(end - line) + 1;
        if (end == NULL || text.n - *at < head + n + 2) {
            return false;
        }
        buf_append(out, line + head, n);
        *at += head + n + 2;
        if (n == 0) {
            return true;
        }
    }
}

/* What a list, or its end, says that it goes on with. */
static void keep_token(struct world *w, struct str body)
{
    static const char key[] = "\"continue\":\"";
    const char *at = body.n == 0 ? NULL : memmem(body.p, body.n, key, sizeof key - 1);
    size_t n = 0;
    for (const char *p = at == NULL ? "\"" : at + sizeof key - 1; *p != '"' && n < sizeof w->token - 4; p++) {
        n += (size_t)snprintf(w->token + n, 4, *p == '+' ? "%%2B" : "%c", *p);
    }
}

/* A token that an account was given; it is shown nowhere. */
static void keep_bearer(struct world *w, struct str body)
{
    static const char key[] = "\"status\":{\"token\":\"";
    const char *at = body.n == 0 ? NULL : memmem(body.p, body.n, key, sizeof key - 1);
    if (at != NULL && w->bearers_count < BEARERS_MAX) {
        at += sizeof key - 1;
        w->bearers[w->bearers_count++] = xstrndup(at, strcspn(at, "\""));
    }
}

/* That of a Secret, which is shown in base64. */
static void keep_secret(struct world *w, struct str body)
{
    static const char kind[] = "\"kind\":\"Secret\"", other[] = "TokenRequest", key[] = "\"token\":\"";
    bool is = body.n > 0 && memmem(body.p, body.n, kind, sizeof kind - 1) != NULL &&
              memmem(body.p, body.n, other, sizeof other - 1) == NULL;
    const char *at = is ? memmem(body.p, body.n, key, sizeof key - 1) : NULL;
    CLEANUP_BUF struct buf token = BUF_INIT;
    if (at != NULL && w->bearers_count < BEARERS_MAX) {
        at += sizeof key - 1;
        assert_true(base64_read(&token, (struct str){at, strcspn(at, "\"")}));
        w->bearers[w->bearers_count++] = xstrdup(buf_cstr(&token));
    }
}

static void keep(struct world *w, struct str body)
{
    keep_token(w, body);
    keep_bearer(w, body);
    keep_secret(w, body);
}

/* What has come and was not shown. */
static void show(struct wire *w, const char *paths, struct buf *out)
{
    struct str all = buf_str(&w->out);
    while (w->shown < all.n) {
        CLEANUP_BUF struct buf body = BUF_INIT;
        const char *p = all.p + w->shown;
        bool chunked = false;
        size_t length = 0;
        if (all.n - w->shown < 9 || memcmp(p, "HTTP/1.1 ", 9) != 0) { /* more of a stream */
            bool last = take_chunks(all, &w->shown, &body);
            show_body(out, buf_str(&body), paths);
            buf_puts(out, last ? "(end)\n" : "");
            return;
        }
        for (bool first = true; w->shown < all.n; first = false) {
            const char *line = all.p + w->shown, *end = memchr(line, '\n', all.n - w->shown);
            assert_non_null(end);
            char text[2048];
            snprintf(text, sizeof text, "%.*s", (int)(end - line) - 1, line);
            w->shown += (size_t)(end - line) + 1;
            chunked |= strcmp(text, "Transfer-Encoding: chunked") == 0;
            length = strncmp(text, "Content-Length: ", 16) == 0 ? strtoul(text + 16, NULL, 10) : length;
            if (text[0] == '\0') {
                break;
            }
            if (first || header_matters(text)) {
                buf_printf(out, "%s\n", first ? text + 9 : text);
            }
        }
        if (chunked) {
            bool last = take_chunks(all, &w->shown, &body);
            keep(w->world, buf_str(&body));
            show_body(out, buf_str(&body), paths);
            buf_puts(out, last ? "(end)\n" : "");
        } else {
            length = MIN(length, all.n - w->shown); /* of HEAD it is told, and nothing comes */
            keep(w->world, (struct str){all.p + w->shown, length});
            show_body(out, (struct str){all.p + w->shown, length}, paths);
            w->shown += length;
        }
    }
}

/* ---- Commands ---- */

static void feed(struct wire *w, struct str text, const char *pieces)
{
    size_t piece = pieces == NULL ? text.n : (size_t)atoi(pieces);
    for (size_t at = 0; at < text.n; at += piece) {
        rest_conn_feed(w->conn, text.p + at, MIN(piece, text.n - at));
    }
}

/* With what stands for $TOKEN, $B1 and $W1. */
static void put_words(const struct world *w, struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        struct str rest = {text.p + i, text.n - i};
        bool whole = rest.n > 2 && str_starts(rest, STR("$B")), coded = rest.n > 2 && str_starts(rest, STR("$W")),
             forged = rest.n > 2 && str_starts(rest, STR("$F")),
             bearer = (whole || coded || forged) && rest.p[2] >= '1' && rest.p[2] <= '9';
        if (str_starts(rest, STR("$TOKEN"))) {
            buf_puts(out, w->token);
            i += 5;
        } else if (bearer) {
            unsigned n = (unsigned)(rest.p[2] - '1');
            assert_true(n < w->bearers_count);
            if (forged) {
                buf_append(out, w->bearers[n], strlen(w->bearers[n]) - 6);
            } else if (coded) {
                base64url_write(out, w->bearers[n], strlen(w->bearers[n]));
            } else {
                buf_puts(out, w->bearers[n]);
            }
            i += 2;
        } else {
            buf_putc(out, text.p[i]);
        }
    }
}

/* "GET /x\nA: b\n\nbody\n" as HTTP. */
static void write_request(const struct world *w, struct buf *out, const char *text)
{
    const char *empty = strstr(text, "\n\n"), *body = empty == NULL ? "" : empty + 2;
    const char *end = empty == NULL ? text + strlen(text) - 1 : empty;
    size_t n = strlen(body);
    n -= n > 0 && body[n - 1] == '\n';
    bool first = true;
    for (const char *p = text; p < end; first = false) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop == NULL ? end : stop;
        put_words(w, out, (struct str){p, (size_t)(stop - p)});
        buf_puts(out, first ? " HTTP/1.1\r\nHost: reeve\r\n" : "\r\n");
        p = stop + 1;
    }
    CLEANUP_BUF struct buf all = BUF_INIT;
    put_words(w, &all, (struct str){body, n});
    if (n > 0) {
        http_put_length(out, all.size);
    }
    buf_puts(out, "\r\n");
    buf_append_str(out, buf_str(&all));
}

static void wait_for_answer(struct world *w, struct wire *wire, bool streams)
{
    for (int64_t until = w->c.sim.now_ms + 60000; w->c.sim.now_ms < until;) {
        turn_once(w);
        if (wire->conn->call == NULL || wire->closed || wire->deaf || (streams && wire->out.size > wire->shown)) {
            return;
        }
        step(&w->c);
    }
    fail_msg("no answer");
}

static void do_ask(struct world *w, const struct script_step *s, struct buf *out)
{
    const char *name = s->words_count > 0 && strchr(s->words[0], '=') == NULL ? s->words[0] : NULL;
    struct wire *wire = wire_named(w, name, script_word(s, "as"));
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_request(w, &text, s->body);
    feed(wire, buf_str(&text), script_word(s, "pieces"));
    wait_for_answer(w, wire, strstr(s->body, "watch") != NULL);
    if (strstr(s->body, "watch") != NULL) {
        run_ms(w, 100);
    }
    show(wire, script_word(s, "show"), out);
    if (wire->closed) {
        buf_puts(out, "(closed)\n");
    }
    if (name == NULL || wire->closed) {
        wire_hang_up(wire);
    }
}

static void do_bytes(struct world *w, const struct script_step *s, struct buf *out)
{
    struct wire *wire = wire_named(w, s->words[0], script_word(s, "as"));
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (const char *p = s->body; *p != '\0'; p++) {
        if (*p == '\\' && (p[1] == 'r' || p[1] == 'n')) {
            buf_putc(&text, *++p == 'r' ? '\r' : '\n');
        } else if (*p != '\n') {
            buf_putc(&text, *p);
        }
    }
    feed(wire, buf_str(&text), script_word(s, "pieces"));
    run_ms(w, 100);
    show(wire, script_word(s, "show"), out);
    if (wire->closed) {
        buf_puts(out, "(closed)\n");
        wire_hang_up(wire);
    }
}

static void do_events(struct world *w, const struct script_step *s, struct buf *out)
{
    struct wire *wire = wire_named(w, s->words[0], NULL);
    run_ms(w, 100);
    show(wire, script_word(s, "show"), out);
    if (wire->closed) {
        buf_puts(out, "(closed)\n");
        wire_hang_up(wire);
    }
}

static void do_advance(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    run_ms(w, atoi(s->words[0]) * (int64_t)1000);
}

static void do_deaf(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    wire_named(w, s->words[0], NULL)->deaf = true;
}

static void do_hear(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    struct wire *wire = wire_named(w, s->words[0], NULL);
    wire->deaf = false;
    buf_append(&wire->out, wire->held.data, wire->held.size);
    buf_close(&wire->held);
    rest_conn_drained(wire->conn);
    run_ms(w, 100);
}

static void do_close(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    wire_hang_up(wire_named(w, s->words[0], NULL));
    run_ms(w, 100);
}

/* Objects that somebody else made, or reports of nodes: written without the API. */
static void do_apply(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    CLEANUP_ARENA struct arena a;
    struct error err = {0};
    struct value **docs;
    unsigned count;
    arena_init(&a);
    must(yaml_read(&a, str_of(s->body), NULL, &docs, &count, &err), &err);
    for (unsigned i = 0; i < count; i++) {
        const struct kind *k = kind_of_document(&a, docs[i], &err);
        struct value *status = value_get(docs[i], "status");
        assert_non_null(k);
        must(kind_check(k, &a, docs[i], NULL, 0, &err), &err);
        if (k->begin != NULL && status == NULL) {
            k->begin(&a, docs[i]);
        }
        if (k->id == KIND_POD && status == NULL) { /* as admission does */
            toleration_add_defaults(&a, value_ensure_map(&a, docs[i], "spec"));
        } else if (k->id == KIND_PERSISTENTVOLUMECLAIM && status == NULL) {
            storage_add_finalizer(&a, docs[i], STORAGE_PROTECT_CLAIM);
        } else if (k->id == KIND_PERSISTENTVOLUME && status == NULL) {
            storage_add_finalizer(&a, docs[i], STORAGE_PROTECT_VOLUME);
        }
        struct object *o = NULL;
        struct txn t;
        txn_init(&t, "test");
        must(object_from_value(k, docs[i], 0, &o, &err), &err);
        txn_create(&t, o);
        must(replica_submit(w->m->replica, &t, NULL, NULL, &err), &err);
        txn_close(&t);
    }
    run_ms(w, 100);
}

static void do_many(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    unsigned count = (unsigned)atoi(s->words[0]), bytes = (unsigned)atoi(s->words[1]);
    CLEANUP_FREE char *text = xcalloc(1, bytes + 1);
    memset(text, 'x', bytes);
    for (unsigned i = 0; i < count;) {
        struct txn t;
        struct error err = {0};
        txn_init(&t, "test");
        for (unsigned n = 0; n < 100 && i < count; n++, i++) {
            txn_create(&t, yaml_object("{apiVersion: v1, kind: ConfigMap, metadata: {name: many-%04u, namespace: "
                                       "default}, data: {k: %s}}",
                                       i, text));
        }
        must(replica_submit(w->m->replica, &t, NULL, NULL, &err), &err);
        txn_close(&t);
        run_ms(w, 100);
    }
}

static void do_keys(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)s;
    (void)out;
    struct txn t;
    struct error err = {0};
    w->m->bearers = bearers_new(w->m->env);
    w->m->secret_tokens = secret_tokens_new();
    txn_init(&t, "test");
    must(account_keys_bootstrap(w->m, &t, &err), &err);
    must(replica_submit(w->m->replica, &t, NULL, NULL, &err), &err);
    txn_close(&t);
    run_ms(w, 100);
}

/* A Secret that asks for a token of account `web` and has so many bytes besides. */
static void do_large(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    CLEANUP_BUF struct buf bytes = BUF_INIT, text = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    struct txn t;
    struct object *o = NULL;
    struct error err = {0};
    struct value **docs;
    unsigned count;
    size_t n = (size_t)atoi(s->words[1]);
    arena_init(&a);
    memset(buf_reserve(&bytes, n), 'x', n);
    buf_printf(&text,
               "{apiVersion: v1, kind: Secret, metadata: {name: %s, namespace: default, annotations: "
               "{kubernetes.io/service-account.name: web}}, type: kubernetes.io/service-account-token}",
               s->words[0]);
    must(yaml_read(&a, buf_str(&text), NULL, &docs, &count, &err), &err);
    value_set(&a, value_ensure_map(&a, docs[0], "data"), "own", value_bin(&a, (const char *)bytes.data, n));
    must(object_from_value(kind_by_id(KIND_SECRET), docs[0], 0, &o, &err), &err); /* more than a user may write */
    txn_init(&t, "test");
    txn_create(&t, o);
    must(replica_submit(w->m->replica, &t, NULL, NULL, &err), &err);
    txn_close(&t);
    run_ms(w, 100);
}

/* Another key signs from now on. */
static void do_rotate(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)s;
    (void)out;
    struct txn t;
    struct error err = {0};
    txn_init(&t, "test");
    must(account_keys_rotate(w->m, &t, &err), &err);
    must(replica_submit(w->m->replica, &t, NULL, NULL, &err), &err);
    txn_close(&t);
    run_ms(w, 100);
}

/* The clock on the wall goes on by so many seconds, and no time passes. */
static void do_clock(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    w->ahead_ms += 1000 * atoll(s->words[0]);
    run_ms(w, 1000);
}

/* From now on there is no place for who proves on this connection who he is; or there is again. */
static void do_unwelcome(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    struct wire *wire = wire_named(w, s->words[0], "none");
    wire->unwelcome = !wire->unwelcome;
}

/* How many tokens could not be written into their Secrets. */
static void do_tries(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)s;
    buf_printf(out, "%llu\n", (unsigned long long)w->m->stats.secret_tokens_failed);
}

static void do_strangers(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)s;
    unsigned n = 0;
    LIST_FOR(it, &w->m->strangers)
    {
        n++;
    }
    buf_printf(out, "%u\n", n);
}

/* So many requests with tokens that are wrong, each in its own way; the script's body is what stands behind "Bearer ",
 * with # for a number of five digits. */
static void do_flood(struct world *w, const struct script_step *s, struct buf *out)
{
    unsigned wrong = 0, many = 0;
    for (unsigned i = 0, n = (unsigned)atoi(s->words[0]); i < n; i++) {
        CLEANUP_BUF struct buf request = BUF_INIT, text = BUF_INIT, number = BUF_INIT;
        struct wire *wire = wire_named(w, NULL, "none");
        put_words(w, &text, (struct str){s->body, strcspn(s->body, "\n")});
        buf_printf(&number, "%05u", i);
        buf_printf(&request, "GET /api/v1/pods HTTP/1.1\r\nHost: reeve\r\nAuthorization: Bearer ");
        for (const char *p = buf_cstr(&text); *p != '\0'; p++) {
            if (*p == '#') {
                buf_append_str(&request, buf_str(&number));
            } else {
                buf_putc(&request, *p);
            }
        }
        buf_puts(&request, "\r\n\r\n");
        feed(wire, buf_str(&request), NULL);
        wait_for_answer(w, wire, false);
        wrong += wire->out.size > 12 && memcmp(wire->out.data + 9, "401", 3) == 0;
        many += wire->out.size > 12 && memcmp(wire->out.data + 9, "429", 3) == 0;
        wire_hang_up(wire);
    }
    buf_printf(out, "401: %s\n429: %s\n",
               wrong == 0  ? "none"
               : many == 0 ? "all"
                           : "some",
               many == 0 ? "none" : "some");
}

static void do_cut(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)s;
    (void)out;
    sim_isolate(&w->c.sim, w->m->config.id, true);
}

static void do_held(struct world *w, const struct script_step *s, struct buf *out)
{
    size_t held = wire_named(w, s->words[0], NULL)->held.size;
    buf_printf(out, "%zu x 256 KiB\n", (held + (256u << 10) - 1) / (256u << 10));
}

static void run_step(void *data, const struct script_step *s, struct buf *out)
{
    static const struct {
        const char *name;
        void (*run)(struct world *w, const struct script_step *s, struct buf *out);
    } commands[] = {{"ask", do_ask},
                    {"bytes", do_bytes},
                    {"events", do_events},
                    {"apply", do_apply},
                    {"deaf", do_deaf},
                    {"hear", do_hear},
                    {"close", do_close},
                    {"advance", do_advance},
                    {"many", do_many},
                    {"held", do_held},
                    {"cut", do_cut},
                    {"keys", do_keys},
                    {"rotate", do_rotate},
                    {"clock", do_clock},
                    {"unwelcome", do_unwelcome},
                    {"strangers", do_strangers},
                    {"flood", do_flood},
                    {"large", do_large},
                    {"tries", do_tries}};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(s->command, commands[i].name) == 0) {
            commands[i].run(data, s, out);
            return;
        }
    }
    fail_msg("no command %s", s->command);
}

/* ---- The fixture ---- */

static int64_t clock_now(void *data)
{
    return env_now_ms(&((const struct world *)data)->c.sim.env);
}
static int64_t clock_wall(void *data)
{
    const struct world *w = data;
    return env_wall_ms(&w->c.sim.env) + w->ahead_ms;
}
static void clock_random(void *data, void *bytes, size_t n)
{
    env_random(&((const struct world *)data)->c.sim.env, bytes, n);
}

static bool any_room(void *data, enum turn_room room)
{
    (void)data;
    (void)room;
    return true;
}

static void world_open(struct world *w, unsigned masters)
{
    struct master *m = w->m = xcalloc(1, sizeof *m);
    cluster_start(&w->c, masters, 7);
    m->replica = await_leader(&w->c)->replica;
    w->env = (struct env){w, clock_now, clock_wall, clock_random};
    m->env = &w->env;
    m->rotate = rotate_new();
    m->ca_pem = xstrdup("the CA");
    m->config.id = w->leader = await_leader(&w->c)->id;
    m->held.max = 64 << 20;
    uv_loop_init(&m->loop);
    uv_idle_init(&m->loop, &m->idle);
    uv_timer_init(&m->loop, &m->parked_timer);
    list_init(&m->sessions);
    list_init(&m->strangers);
    list_init(&m->https);
    list_init(&m->https_ended);
    list_init(&m->asked);
    list_init(&m->parked);
    m->turns = turns_new(any_room, NULL);
    m->watches = watch_table_new(m);
    m->feeds = node_feeds_new(m);
    m->pages = list_pages_new(NULL, NULL);
    m->revoked = revoked_new();
    m->departed = departed_new();
    m->account_keys = account_keys_new();
    store_set_level(replica_store(m->replica), RELEASE_LEVEL_PARTS);
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        w->wires[i].world = w;
    }
    struct script_step places = {.body = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n---\n"
                                         "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system}\n"};
    do_apply(w, &places, NULL);
}

static void world_close(struct world *w)
{
    struct master *m = w->m;
    for (unsigned i = 0; i < CONNS_MAX; i++) {
        wire_hang_up(&w->wires[i]);
    }
    turn_once(w);
    assert_true(list_empty(&m->https) && list_empty(&m->https_ended));
    assert_int_equal(m->request_bytes, 0);
    revoked_free(m->revoked);
    departed_free(m->departed);
    bearers_free(m->bearers);
    account_keys_free(m->account_keys);
    secret_tokens_free(m->secret_tokens);
    rotate_free(m->rotate);
    free(m->ca_pem);
    for (unsigned i = 0; i < w->bearers_count; i++) {
        free(w->bearers[i]);
    }
    openapi_free(m->openapi);
    object_unref(m->https_event.object);
    buf_close(&m->https_event.json);
    list_pages_free(m->pages);
    node_feeds_free(m->feeds);
    watch_table_free(m->watches);
    turns_free(m->turns);
    uv_close((uv_handle_t *)&m->idle, NULL);
    uv_close((uv_handle_t *)&m->parked_timer, NULL);
    uv_run(&m->loop, UV_RUN_DEFAULT);
    uv_loop_close(&m->loop);
    cluster_close(&w->c);
    free(m);
}

static void test_script(void **state)
{
    const char *path = *state;
    struct world w = {0};
    world_open(&w, strstr(path, "leaderless") != NULL ? 3 : 1);
    bool ok = script_run(path, run_step, &w);
    world_close(&w);
    assert_true(ok);
}

#define SCRIPT(name)                                                                                                   \
    {                                                                                                                  \
#name, test_script, NULL, NULL, (void *)"tests/script/rest/" #name ".txt"                                      \
    }
int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT(objects),     SCRIPT(lists),      SCRIPT(watches),    SCRIPT(errors),       SCRIPT(forms),
        SCRIPT(discovery),   SCRIPT(parts),      SCRIPT(deletions),  SCRIPT(connections),  SCRIPT(validation),
        SCRIPT(rules),       SCRIPT(leaderless), SCRIPT(reviews),    SCRIPT(streams),      SCRIPT(tokens),
        SCRIPT(impersonate), SCRIPT(apply),      SCRIPT(token_ends), SCRIPT(token_floods), SCRIPT(secret_tokens),
        SCRIPT(bootstrap),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
