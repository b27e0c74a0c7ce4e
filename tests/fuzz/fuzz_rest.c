/* Whole requests of REST, to a master of a simulated cluster with a few objects: what stands in heads (tokens, who is
 * asked for, protocols of WebSockets, forms), in addresses and in bodies of every form. The first byte: bits 0 to 2 who
 * asks, bit 3 the bytes are sent as they stand, bits 4 to 7 in what pieces. Else it is requests, ended by 0x1e: lines
 * end with \n, and the length of what stands behind the empty one is told.
 *
 * Each is answered, refused and closed, or waits for more; an answer is one, and none says that the master is at fault;
 * and when the connection has gone all places and bytes are given back (world_close). */
#include "tests/unit/api_rest_world.h"

#include "tests/fuzz/fuzz.h"

#define REQUESTS_MAX 6u
#define STEPS_MAX    300u /* of the world, for an answer */

static const char objects[] =
    "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n---\n"
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default, labels: {a: b}}\ndata: {k: v}\n---\n"
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: default}\n---\n"
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: default}\nstringData: {k: v}\n---\n"
    "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: default}\n---\n"
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: default, labels: {a: b}}\n"
    "spec: {nodeName: n1, containers: [{name: c, image: i}]}\n---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: default}\nspec: {ports: [{port: 80}]}\n---\n"
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: default}\nspec:\n"
    "  selector: {matchLabels: {a: b}}\n"
    "  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}\n";

/* With a length, as clients send it. */
static void write_request(struct buf *out, struct str text)
{
    const char *empty = text.n == 0 ? NULL : memmem(text.p, text.n, "\n\n", 2);
    size_t head = empty == NULL ? text.n : (size_t)(empty - text.p);
    struct str body = empty == NULL ? STR_NONE : (struct str){empty + 2, text.n - head - 2};
    bool first = true;
    for (size_t at = 0; at < head;) {
        const char *end = memchr(text.p + at, '\n', head - at);
        size_t n = end == NULL ? head - at : (size_t)(end - text.p) - at;
        buf_append(out, text.p + at, n);
        buf_puts(out, first ? " HTTP/1.1\r\nHost: reeve\r\n" : "\r\n");
        at += n + 1;
        first = false;
    }
    if (body.n > 0) {
        http_put_length(out, body.n);
    }
    buf_puts(out, "\r\n");
    buf_append_str(out, body);
}

static void check_answer(const struct wire *w, size_t from)
{
    struct http_reply reply;
    struct str out = buf_str(&w->out);
    if (out.n == from) {
        CHECK(!w->closed || from > 0);
        return;
    }
    CHECK(out.n > from + 9);
    if (memcmp(out.p + from, "HTTP/1.1 ", 9) != 0) {
        return; /* more of a stream */
    }
    int64_t head = http_reply_read(out.p + from, out.n - from, &reply);
    CHECK(head > 0 && reply.status >= 100 && reply.status < 600);
    if (reply.status == 500) {
        fprintf(stderr, "%.*s\n", (int)MIN(out.n - from, (size_t)2000), out.p + from);
    }
    CHECK(reply.status != 500);
}

static void send_bytes(struct world *w, struct wire *wire, struct str bytes, size_t piece)
{
    size_t from = wire->out.size;
    for (size_t at = 0; at < bytes.n && !wire->closed; at += piece) {
        rest_conn_feed(wire->conn, bytes.p + at, MIN(piece, bytes.n - at));
    }
    for (unsigned i = 0; i < STEPS_MAX && wire->conn->call != NULL && !wire->closed; i++) {
        turn_once(w);
        step(&w->c);
    }
    check_answer(wire, from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const who[] = {"admin", "none", "tom", "node", "admin", "admin", "admin", "admin"};
    struct fuzz_input f = fuzz_input(data, size);
    uint8_t head = fuzz_byte(&f);
    size_t piece = head >> 4 == 0 ? SIZE_MAX : (size_t)(head >> 4) * 7;
    struct world *w = xcalloc(1, sizeof *w);
    world_open(w, 1);
    world_make_keys(w);
    world_apply(w, objects);
    struct wire *wire = wire_named(w, "fuzz", who[head & 7]);
    if ((head & 8) != 0) {
        struct str bytes = fuzz_rest(&f);
        send_bytes(w, wire, bytes, MIN(piece, bytes.n + 1));
    }
    for (unsigned i = 0; i < REQUESTS_MAX && f.p < f.end && !wire->closed; i++) {
        CLEANUP_BUF struct buf bytes = BUF_INIT;
        write_request(&bytes, fuzz_until(&f, 0x1e));
        send_bytes(w, wire, buf_str(&bytes), MIN(piece, bytes.size + 1));
    }
    world_close(w);
    free(w);
    return 0;
}
