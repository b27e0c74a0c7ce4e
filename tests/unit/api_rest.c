/* Runs tests/script/rest/NAME.txt: requests over HTTP, bytes in and bytes out, and a store of one master on a simulated
 * disk behind them. No connection and no TLS: those are shown by client_habits_kubectl. Commands:
 *
 *   ask [NAME] [as=admin|node|none|USER] [show=PATH,...] [pieces=N]
 *                 body: "METHOD TARGET", headers, an empty line, the request's body. NAME: the connection, made anew
 *                 where there is none; it stays (without: one for this request alone). Shows the status, the headers
 *                 that matter ([1 content-type]: that one is not there, too), and the answer's body, or what stands at the paths in it ("items.metadata.name": of
 *                 every item; "#items": how many there are; "#lines"; "-": nothing of it)
 *                 $TOKEN in it: what the last list said that it goes on with; $ETAG: the tag of the last document that
 *                 has one; $B1: the first token of an account
 *                 that was given, or that a Secret was shown with, $B2 the next one; $W1: the first one in base64url;
 *                 $F1: header and claims of it, and a signature without its last six characters
 *   protobuf METHOD TARGET APIVERSION KIND [show=PATH,...]   body: a message as in proto_protobuf_kit.h, which is sent
 *                 in its envelope
 *   keys          the masters have keys that sign tokens
 *   rotate        another key signs, as of `rctl cert rotate-tokens`
 *   large NAME N  a Secret that asks for a token of account web, with N bytes of its own
 *   own-tokens N M  N Secrets for tokens, with M bytes in the place of a token
 *   pad NAME N    the token in that Secret has the same claims and one of N bytes more, and no signature
 *   claims N [show=PATH,...]   what $BN says
 *   walk          in how many ticks the leader looks at all Secrets for tokens
 *   heard NODE... the agents of these nodes are heard by this master
 *   clock S       the clock on the wall goes on by so much
 *   flood N       N requests without a certificate, with the body as token (# is a number of five digits): were
 *                 there 401, or 429?
 *   tries         how many tokens could not be written into their Secrets
 *   strangers     how many connections have not proven who they are
 *   unwelcome NAME   there is no place for who proves on it who he is; said again, there is
 *   bytes NAME    body: what is sent as it stands, with \r and \n written so
 *   events NAME   what has come on it since
 *   apply         body: objects in YAML, created
 *   many N BYTES  so many ConfigMaps "many-I" with so much data
 *   values N      a ConfigMap with a list of so many numbers is posted
 *   held NAME     what waits for a deaf peer, in steps of 256 KiB
 *   advance S     time passes
 *   deaf NAME, hear NAME   the peer takes nothing, takes all again
 *   waits NAME    the peer takes nothing, since this process does not send
 *   cut           this master, which leads, hears of the two others no more (they are in leaderless.txt alone)
 *   close NAME    the peer hangs up */
#include "tests/unit/api_rest_world.h"

#include "tests/unit/proto_protobuf_kit.h"

#include <zlib.h>

#include "tests/unit/api_rest_mutate.h"

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
    if (paths != NULL && strcmp(paths, "-") == 0) {
        return;
    }
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
        "Content-Type: ", "Warning: ", "Retry-After: ", "Connection: ", "Transfer-Encoding: ", "Content-Encoding: "};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strncmp(line, names[i], strlen(names[i])) == 0) {
            return strcmp(line, "Content-Type: application/json") != 0;
        }
    }
    return false;
}

/* A whole answer in gzip, as it was. */
static void unpack(struct buf *b)
{
    struct buf out = BUF_INIT;
    z_stream z = {.next_in = b->data, .avail_in = (unsigned)b->size};
    int rv = inflateInit2(&z, 15 + 16);
    while (rv == Z_OK) {
        z.next_out = buf_reserve(&out, 65536);
        z.avail_out = 65536;
        rv = inflate(&z, Z_NO_FLUSH);
        out.size += 65536 - z.avail_out;
    }
    assert_int_equal(rv, Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_true(b->size * 3 < out.size);
    inflateEnd(&z);
    buf_close(b);
    *b = out;
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
        bool chunked = false, packed = false, typed = false;
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
            packed |= strcmp(text, "Content-Encoding: gzip") == 0;
            chunked |= strcmp(text, "Transfer-Encoding: chunked") == 0;
            typed |= strncmp(text, "Content-Type: ", 14) == 0;
            if (strncmp(text, "ETag: ", 6) == 0) {
                snprintf(w->world->etag, sizeof w->world->etag, "%.79s", text + 6);
            }
            length = strncmp(text, "Content-Length: ", 16) == 0 ? strtoul(text + 16, NULL, 10) : length;
            if (text[0] == '\0') {
                break;
            }
            if (first || header_matters(text)) {
                buf_printf(out, "%s\n", first ? text + 9 : text);
            }
        }
        buf_puts(out, (chunked || length > 0) && !typed ? "(no Content-Type)\n" : "");
        if (chunked) {
            bool last = take_chunks(all, &w->shown, &body);
            if (packed) {
                unpack(&body);
            }
            keep(w->world, buf_str(&body));
            show_body(out, buf_str(&body), paths);
            buf_puts(out, last ? "(end)\n" : "");
        } else {
            length = MIN(length, all.n - w->shown); /* of HEAD it is told, and nothing comes */
            buf_append(&body, all.p + w->shown, length);
            if (packed) {
                unpack(&body);
            }
            keep(w->world, buf_str(&body));
            show_body(out, buf_str(&body), paths);
            w->shown += length;
        }
    }
}

/* ---- Commands ---- */

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
        } else if (str_starts(rest, STR("$ETAG"))) {
            buf_puts(out, w->etag);
            i += 4;
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

static void do_ask(struct world *w, const struct script_step *s, struct buf *out)
{
    const char *name = s->words_count > 0 && strchr(s->words[0], '=') == NULL ? s->words[0] : NULL;
    struct wire *wire = wire_named(w, name, script_word(s, "as"));
    CLEANUP_BUF struct buf text = BUF_INIT;
    write_request(w, &text, s->body);
    mutate_keep(buf_str(&text));
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

static void do_waits(struct world *w, const struct script_step *s, struct buf *out)
{
    do_deaf(w, s, out);
    wire_named(w, s->words[0], NULL)->waits = true;
}

static void do_hear(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    struct wire *wire = wire_named(w, s->words[0], NULL);
    wire->deaf = wire->waits = false;
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

static void do_apply(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    world_apply(w, s->body);
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
    world_make_keys(w);
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

/* So many Secrets with a token of so many bytes that somebody has written there. */
static void do_own_tokens(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    size_t n = (size_t)atoi(s->words[1]);
    unsigned count = (unsigned)atoi(s->words[0]);
    memset(buf_reserve(&bytes, n), 'x', n);
    for (unsigned i = 0; i < count;) {
        struct txn t;
        struct error err = {0};
        txn_init(&t, "test");
        for (unsigned part = 0; part < 50 && i < count; part++, i++) {
            CLEANUP_ARENA struct arena a;
            CLEANUP_BUF struct buf text = BUF_INIT;
            struct object *o = NULL;
            struct value **docs;
            unsigned docs_count;
            arena_init(&a);
            buf_printf(&text,
                       "{apiVersion: v1, kind: Secret, metadata: {name: own-%04u, namespace: default, annotations: "
                       "{kubernetes.io/service-account.name: web}}, type: kubernetes.io/service-account-token}",
                       i);
            must(yaml_read(&a, buf_str(&text), NULL, &docs, &docs_count, &err), &err);
            value_set(&a, value_ensure_map(&a, docs[0], "data"), "token", value_bin(&a, (const char *)bytes.data, n));
            must(object_from_value(kind_by_id(KIND_SECRET), docs[0], 0, &o, &err), &err);
            txn_create(&t, o);
        }
        must(replica_submit(w->m->replica, &t, NULL, NULL, &err), &err);
        txn_close(&t);
        run_ms(w, 100);
    }
}

/* In how many ticks the leader has looked at all Secrets. */
static void do_walk(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)s;
    unsigned ticks = 1;
    while (!secret_tokens_tick(w->m)) { /* one that was going on */
    }
    secret_tokens_look(w->m);
    for (; !secret_tokens_tick(w->m); ticks++) {
    }
    buf_printf(out, "%u\n", ticks);
}

/* The token of that Secret says the same, and a claim of so many bytes besides. */
static void do_pad(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    CLEANUP_BUF struct buf pad = BUF_INIT, json = BUF_INIT, token = BUF_INIT;
    CLEANUP_ARENA struct arena a;
    struct txn t;
    struct error err = {0};
    struct value *claims;
    struct str old = STR_NONE, key_id;
    const struct object *o = view_get(store_committed(replica_store(w->m->replica)), kind_by_id(KIND_SECRET),
                                      STR("default"), str_of(s->words[0]));
    struct mp data = mp_get(mp_get(object_mp(o), "data"), "token");
    arena_init(&a);
    assert_true(mp_read_bin(&data, &old) && jwt_read(old, &a, &claims, &key_id));
    size_t n = (size_t)atoi(s->words[1]), head = (size_t)((const char *)memchr(old.p, '.', old.n) - old.p) + 1;
    memset(buf_reserve(&pad, n), 'x', n);
    value_set(&a, claims, "pad", value_str(&a, (struct str){(const char *)pad.data, n}));
    json_write(&json, claims, 0);
    buf_append_str(&token, (struct str){old.p, head});
    base64url_write(&token, json.data, json.size);
    buf_puts(&token, ".AA");
    struct value *doc = object_to_value(&a, o);
    value_set(&a, value_ensure_map(&a, doc, "data"), "token", value_bin(&a, (const char *)token.data, token.size));
    txn_init(&t, "test");
    must(txn_update_value(&t, o->kind, doc, TXN_PART_ALL, o->revision, &err), &err);
    must(replica_submit(w->m->replica, &t, NULL, NULL, &err), &err);
    txn_close(&t);
    run_ms(w, 100);
}

static void do_claims(struct world *w, const struct script_step *s, struct buf *out)
{
    CLEANUP_BUF struct buf json = BUF_INIT;
    world_write_claims(w, (unsigned)atoi(s->words[0]) - 1, &json);
    show_body(out, buf_str(&json), script_word(s, "show"));
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

static void do_heard(struct world *w, const struct script_step *s, struct buf *out)
{
    (void)out;
    if (w->m->core == NULL) {
        w->m->core = core_new(&(struct core_config){.env = w->m->env, .log = &w->m->log, .seed = 1});
    }
    for (unsigned i = 0; i < s->words_count; i++) {
        core_heartbeat(w->m->core, str_of(s->words[i]));
    }
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

static void do_values(struct world *w, const struct script_step *s, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT, body = BUF_INIT;
    struct wire *wire = wire_named(w, NULL, NULL);
    buf_puts(&body, "{\"metadata\":{\"name\":\"v\"},\"x\":[0");
    for (int i = 1; i < atoi(s->words[0]); i++) {
        buf_puts(&body, ",1");
    }
    buf_puts(&body, "]}");
    buf_puts(&text, "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: reeve\r\n");
    http_put_length(&text, body.size);
    http_put_end(&text);
    buf_append_str(&text, buf_str(&body));
    feed(wire, buf_str(&text), NULL);
    wait_for_answer(w, wire, false);
    show(wire, "kind,status,reason,code,message", out);
    wire_hang_up(wire);
}

static void do_protobuf(struct world *w, const struct script_step *s, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT, body = BUF_INIT;
    struct wire *wire = wire_named(w, NULL, NULL);
    assert_true(s->words_count >= 4);
    pbkit_body(&body, s->words[2], s->words[3], s->body);
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: reeve\r\n", s->words[0], s->words[1]);
    http_put_header(&text, "Content-Type", STR("application/vnd.kubernetes.protobuf"));
    http_put_length(&text, body.size);
    http_put_end(&text);
    buf_append_str(&text, buf_str(&body));
    mutate_keep(buf_str(&text));
    feed(wire, buf_str(&text), NULL);
    wait_for_answer(w, wire, false);
    show(wire, script_word(s, "show"), out);
    wire_hang_up(wire);
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
                    {"waits", do_waits},
                    {"hear", do_hear},
                    {"close", do_close},
                    {"advance", do_advance},
                    {"many", do_many},
                    {"held", do_held},
                    {"cut", do_cut},
                    {"keys", do_keys},
                    {"rotate", do_rotate},
                    {"clock", do_clock},
                    {"heard", do_heard},
                    {"unwelcome", do_unwelcome},
                    {"strangers", do_strangers},
                    {"flood", do_flood},
                    {"large", do_large},
                    {"own-tokens", do_own_tokens},
                    {"walk", do_walk},
                    {"pad", do_pad},
                    {"claims", do_claims},
                    {"tries", do_tries},
                    {"values", do_values},
                    {"protobuf", do_protobuf}};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(s->command, commands[i].name) == 0) {
            commands[i].run(data, s, out);
            return;
        }
    }
    fail_msg("no command %s", s->command);
}

static void test_script(void **state)
{
    const char *path = *state;
    struct world w = {0};
    bool leaderless = strstr(path, "leaderless") != NULL;
    world_open(&w, leaderless ? 3 : 1);
    bool ok = script_run(path, run_step, &w);
    if (ok && !leaderless) {
        mutate_all(&w, path);
    }
    mutate_forget();
    core_free(TAKE_PTR(w.m->core));
    world_close(&w);
    assert_true(ok);
}

#include "tests/unit/api_crowd.h"

#define SCRIPT(name)                                                                                                   \
    {                                                                                                                  \
#name, test_script, NULL, NULL, (void *)"tests/script/rest/" #name ".txt"                                      \
    }
int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT(objects),
        SCRIPT(lists),
        SCRIPT(node_leases),
        SCRIPT(k9s),
        SCRIPT(kept_versions),
        SCRIPT(large_yaml),
        SCRIPT(watches),
        SCRIPT(errors),
        SCRIPT(forms),
        SCRIPT(discovery),
        SCRIPT(parts),
        SCRIPT(deletions),
        SCRIPT(connections),
        SCRIPT(validation),
        SCRIPT(rules),
        SCRIPT(leaderless),
        SCRIPT(reviews),
        SCRIPT(streams),
        SCRIPT(tokens),
        SCRIPT(impersonate),
        SCRIPT(apply),
        SCRIPT(token_ends),
        SCRIPT(token_forms),
        SCRIPT(token_floods),
        SCRIPT(secret_tokens),
        SCRIPT(bootstrap),
        SCRIPT(binding),
        SCRIPT(versions),
        SCRIPT(kinds),
        SCRIPT(writes),
        SCRIPT(protobuf),
        SCRIPT(long_watches),
        SCRIPT(status),
        SCRIPT(puts),
        SCRIPT(ingress),
        SCRIPT(certificates),
        SCRIPT(runtime_class),
        SCRIPT(fields),
        SCRIPT(cells),
        SCRIPT(admission),
        SCRIPT(statuses),
        cmocka_unit_test(test_10000_connections_that_list_all_cost_others_a_few_turns),
        cmocka_unit_test(test_lists_that_came_in_one_piece_are_all_answered),
        cmocka_unit_test(test_a_place_is_given_back_when_a_connection_is_cut_midway),
        cmocka_unit_test(test_slow_readers_are_bounded_in_bytes),
        cmocka_unit_test(test_who_has_too_much_waiting_is_told_to_come_again),
        cmocka_unit_test(test_1000_watches_cost_others_a_few_turns),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
