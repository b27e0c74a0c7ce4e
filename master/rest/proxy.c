/* proxy of pods and services: a request handed on to the pod's address over its agent's port-forward, and its answer
 * handed back as it comes; and of nodes, of which this master tells what there is to be told itself.
 *
 *   /api/v1/namespaces/NS/pods/[http:]NAME[:PORT]/proxy[/PATH][?QUERY]       services likewise, PORT: number or name
 *   /api/v1/nodes/NAME/proxy/{healthz,pods}
 *
 * A pod's port, where none is named, is the first that it declares, else 80; a service's is its only one. Of a service
 * one of the pods that it leads to is asked. Its path and query go out as they came; headers too, but for those of the
 * connection, and what proves who asks, which is none of the pod's business. What is asked for with `https:` or an
 * Upgrade is refused: the pod is spoken to in plain HTTP/1.1, one request a connection.
 *
 * The answer keeps the framing that the pod gave it, and the client's connection ends with it. Credit is given back
 * when the client has read, so what is held is a window of the agent's stream and REST_SEND_HIGH; of an answer's head
 * HTTP_HEAD_MAX. The right is `get`, `create`, `update`, `patch` or `delete` of pods/proxy and its like, as the method
 * says. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "master/api/write.h"
#include "master/front/requests.h"
#include "master/rest/stream.h"

struct rest_proxy {
    struct rest_call *call;
    struct stream_node *node; /* NULL: not yet, or over */
    const char *verb;         /* of the right: "get" */
    struct buf request;       /* its head; the body is the call's */
    size_t sent;              /* of both */
    struct str scheme, name, port;
    struct buf head; /* of the answer, until it is whole */
    bool counts;     /* the answer says how long it is... */
    uint64_t left;   /* ...and so much is still to come */
    size_t owed;
};

void rest_proxy_free(struct rest_proxy *x)
{
    if (x != NULL) {
        assert(x->node == NULL);
        buf_close(&x->request);
        buf_close(&x->head);
        free(x);
    }
}

/* ---- The request ---- */

/* [SCHEME:]NAME[:PORT] */
static bool read_name(struct rest_proxy *x, struct str text)
{
    struct str parts[3];
    unsigned count = 0;
    for (;;) {
        const char *colon = text.n == 0 ? NULL : memchr(text.p, ':', text.n);
        if (count == 3) {
            return false;
        }
        parts[count++] = (struct str){text.p, colon == NULL ? text.n : (size_t)(colon - text.p)};
        if (colon == NULL) {
            break;
        }
        text.n -= parts[count - 1].n + 1;
        text.p = colon + 1;
    }
    x->scheme = count == 3 ? parts[0] : STR("");
    x->name = parts[count == 3 ? 1 : 0];
    x->port = count == 3 ? parts[2] : count == 2 ? parts[1] : STR("");
    return x->name.n > 0;
}

static bool is_withheld(const struct http_request *r, struct str name)
{
    static const char *const names[] = {"Host",
                                        "Connection",
                                        "Keep-Alive",
                                        "TE",
                                        "Trailer",
                                        "Transfer-Encoding",
                                        "Upgrade",
                                        "Content-Length",
                                        "Expect",
                                        "Authorization",
                                        "Sec-WebSocket-Protocol"};
    char word[64];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (http_is_word(name, names[i])) {
            return true;
        }
    }
    if ((name.n > 6 && http_is_word((struct str){name.p, 6}, "Proxy-")) ||
        (name.n > 12 && http_is_word((struct str){name.p, 12}, "Impersonate-"))) {
        return true;
    }
    if (name.n >= sizeof word) {
        return false;
    }
    memcpy(word, name.p, name.n);
    word[name.n] = '\0';
    return http_header_has(r, "Connection", word);
}

static void write_request(struct rest_proxy *x, const struct http_request *r)
{
    struct buf *b = &x->request;
    const struct rest_path *p = &x->call->path;
    buf_append_str(b, r->method);
    buf_puts(b, " ");
    buf_append_str(b, p->rest.n == 0 ? STR("/") : p->rest);
    if (r->query.n > 0) {
        buf_puts(b, "?");
        buf_append_str(b, r->query);
    }
    buf_puts(b, x->call->chunks ? " HTTP/1.1\r\nHost: " : " HTTP/1.0\r\nHost: ");
    buf_append_str(b, x->name);
    buf_puts(b, "\r\nConnection: close\r\n");
    for (unsigned i = 0; i < r->headers_count; i++) {
        if (!is_withheld(r, r->headers[i].name)) {
            buf_append_str(b, r->headers[i].name);
            buf_puts(b, ": ");
            buf_append_str(b, r->headers[i].value);
            buf_puts(b, "\r\n");
        }
    }
    if (r->has_body) {
        http_put_length(b, x->call->conn->in.body.size);
    }
    http_put_end(b);
}

static const char *verb_of(struct str method)
{
    return str_is(method, "POST")     ? "create"
           : str_is(method, "PUT")    ? "update"
           : str_is(method, "PATCH")  ? "patch"
           : str_is(method, "DELETE") ? "delete"
                                      : "get";
}

bool rest_proxy_decide(struct rest_call *c, const struct http_request *r)
{
    struct rest_proxy *x = xcalloc(1, sizeof *x);
    c->proxy = x;
    x->call = c;
    x->verb = verb_of(r->method);
    if (!read_name(x, c->path.name)) {
        rest_answer_failure(c, 400, "what is proxied is [SCHEME:]NAME[:PORT], not \"%.*s\"", STR_ARG(c->path.name));
        return false;
    }
    if (http_header_has(r, "Connection", "Upgrade")) {
        rest_answer_failure(c, 400, "an upgrade cannot be proxied here; use port-forward");
        return false;
    }
    if (x->scheme.n > 0 && !str_is(x->scheme, "http") && c->path.kind->id != KIND_NODE) {
        rest_answer_failure(c, 400, "\"%.*s\" cannot be proxied here, only http; use port-forward", STR_ARG(x->scheme));
        return false;
    }
    write_request(x, r);
    return true;
}

void rest_proxy_start(struct rest_call *c)
{
    c->e.name = STR("proxy");
    c->e.flags = 0;
    c->e.newest = true;
}

const char *rest_proxy_access(struct rest_call *c, struct str *ns, struct str *name)
{
    *ns = c->path.has_ns ? c->path.ns : STR_NONE;
    *name = c->path.name;
    return arena_printf(&c->e.arena, "%s %s/proxy", c->proxy->verb, c->path.kind->plural);
}

/* ---- The answer ---- */

static void leave_node(struct rest_proxy *x)
{
    if (x->node != NULL) {
        stream_node_leave(TAKE_PTR(x->node));
    }
}

static void finish(struct rest_proxy *x)
{
    struct rest_call *c = x->call;
    leave_node(x);
    c->keep_alive = false;
    errand_end(&c->e);
    rest_call_leave(c);
}

/* It cannot be ended well: whoever reads it must see that. */
static void fail(struct rest_proxy *x, const char *why)
{
    struct rest_call *c = x->call;
    struct rest_conn *conn = c->conn;
    leave_node(x);
    if (!c->begun) {
        rest_answer_failure(c, 503, "error trying to reach %.*s \"%.*s\": %s", STR_ARG(str_of(c->path.kind->singular)),
                            STR_ARG(x->name), why);
        return;
    }
    errand_end(&c->e);
    c->conn = NULL;
    rest_call_free(c);
    if (conn != NULL) {
        rest_conn_cut(conn);
    }
}

/* Its body, as the pod frames it. */
static void hand_on(struct rest_proxy *x, struct str bytes)
{
    struct rest_call *c = x->call;
    bytes.n = x->counts ? (size_t)MIN((uint64_t)bytes.n, x->left) : bytes.n;
    x->left -= x->counts ? bytes.n : 0;
    if (bytes.n > 0) {
        rest_conn_send(c->conn, bytes);
    }
}

static void begin_answer(struct rest_proxy *x, const struct http_reply *r)
{
    struct rest_call *c = x->call;
    CLEANUP_BUF struct buf head = BUF_INIT;
    static const char *const withheld[] = {"Connection",       "Keep-Alive", "Upgrade",
                                           "Proxy-Connection", "Trailer",    "Audit-Id"};
    c->begun = true;
    buf_printf(&head, "HTTP/1.1 %u %.*s\r\n", r->status, STR_ARG(r->reason));
    for (unsigned i = 0; i < r->headers_count; i++) {
        bool drop = false;
        for (size_t k = 0; k < ARRAY_SIZE(withheld); k++) {
            drop |= http_is_word(r->headers[i].name, withheld[k]);
        }
        if (!drop) {
            buf_append_str(&head, r->headers[i].name);
            buf_puts(&head, ": ");
            buf_append_str(&head, r->headers[i].value);
            buf_puts(&head, "\r\n");
        }
    }
    http_put_header(&head, "Connection", STR("close"));
    rest_put_audit(c, &head, r->status);
    http_put_end(&head);
    rest_conn_send(c->conn, buf_str(&head));
    bool empty = c->head_only || r->status == 204 || r->status == 304;
    x->counts = empty || r->has_length;
    x->left = empty ? 0 : r->length;
}

/* False: the call is over. */
static bool read_head(struct rest_proxy *x, struct str bytes)
{
    struct rest_call *c = x->call;
    buf_append_str(&x->head, bytes);
    while (!c->begun) {
        struct http_reply r;
        int64_t n = http_reply_read(x->head.data, x->head.size, &r);
        if (n == 0) {
            return true;
        }
        if (n < 0 || r.status == 101) {
            fail(x, "its answer is not HTTP/1.1");
            return false;
        }
        if (r.status >= 200) {
            begin_answer(x, &r);
        }
        buf_consume(&x->head, (size_t)n); /* what comes before the answer itself is passed over */
    }
    hand_on(x, buf_str(&x->head));
    buf_close(&x->head);
    return true;
}

static void give_credit(struct rest_proxy *x)
{
    if (x->node != NULL && !rest_conn_is_full(x->call->conn)) {
        stream_node_took(x->node, x->owed);
        x->owed = 0;
    }
}

/* As much of the request as the agent takes. */
static void pump(struct rest_proxy *x)
{
    while (x->node != NULL) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct str head = buf_str(&x->request), body = buf_str(&x->call->body);
        struct str part = x->sent < head.n ? (struct str){head.p + x->sent, head.n - x->sent}
                                           : (struct str){body.p + (x->sent - head.n), body.n - (x->sent - head.n)};
        part.n = MIN(part.n, (size_t)SPDY_DATA_MAX);
        if (part.n == 0) {
            return; /* all of it; not the end of its side, which some take for a client that is gone */
        }
        mp_write_bin(&b, part.p, part.n);
        if (stream_node_write(x->node, buf_str(&b)) != 0) {
            return;
        }
        x->sent += part.n;
    }
}

static void on_node_open(void *data)
{
    pump(data);
}

static void on_node_writable(void *data)
{
    pump(data);
}

/* The pod's side is over. */
static void on_over(struct rest_proxy *x, const char *why)
{
    struct rest_call *c = x->call;
    if (!c->begun) {
        fail(x, why != NULL ? why : "it closed the connection without an answer");
    } else if (why != NULL || (x->counts && x->left > 0)) {
        fail(x, why);
    } else {
        finish(x); /* an answer in chunks shows itself whether it is whole */
    }
}

static void on_node_data(struct mp payload, size_t n, void *data)
{
    struct rest_proxy *x = data;
    struct mp m = payload;
    struct str bytes;
    x->owed += n;
    if (!mp_read_bin(&m, &bytes)) {
        if (mp_bool(mp_get(payload, "eof"), false)) {
            on_over(x, NULL);
        }
        return;
    }
    if (!x->call->begun) {
        if (!read_head(x, bytes)) {
            return;
        }
    } else {
        hand_on(x, bytes);
    }
    if (x->call->begun && x->counts && x->left == 0) {
        finish(x);
        return;
    }
    give_credit(x);
}

static void on_node_end(const struct error *err, void *data)
{
    struct rest_proxy *x = data;
    x->node = NULL;
    on_over(x, err == NULL ? NULL : err->message);
}

static const struct stream_node_events node_events = {
    .open = on_node_open, .data = on_node_data, .writable = on_node_writable, .end = on_node_end};

/* ---- Where it goes ---- */

static void go_to(struct rest_proxy *x, struct str pod, int64_t port)
{
    struct rest_call *c = x->call;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct rpc_session *agent = stream_node_link(c->e.api.m, c->path.ns, pod, &err);
    if (agent == NULL) {
        errand_fail_now(&c->e, &err);
        return;
    }
    mp_write_map(&b, 4);
    mp_write_key_str(&b, "namespace", c->path.ns);
    mp_write_key_str(&b, "name", pod);
    mp_write_key_int(&b, "port", port);
    mp_write_key_bool(&b, "podIP", true); /* as others reach it: what listens at its loopback alone is its own */
    x->node = stream_node_open(agent, false, "pod.portforward", buf_str(&b), &node_events, x);
}

static bool is_number(struct str text, int64_t *n)
{
    return str_to_int64(text, n) && *n >= 1 && *n <= 65535;
}

/* A port of the pod's containers, by name, or the first. 0: there is none. */
static int64_t pod_port(const struct object *pod, struct str name)
{
    for (struct mp_iter c = mp_iter(mp_get(object_spec(pod), "containers")); mp_next(&c);) {
        for (struct mp_iter p = mp_iter(mp_get(c.value, "ports")); mp_next(&p);) {
            if (name.n == 0 || str_eq(mp_str(mp_get(p.value, "name")), name)) {
                return mp_int(mp_get(p.value, "containerPort"), 0);
            }
        }
    }
    return 0;
}

static const struct object *find(const struct rest_proxy *x, enum kind_id kind)
{
    const struct master *m = x->call->e.api.m;
    return view_get(store_committed(replica_store(m->replica)), kind_by_id(kind), x->call->path.ns, x->name);
}

static void fail_absent(struct rest_proxy *x)
{
    struct error err = {0};
    error_not_found(&err, x->call->path.kind, x->name);
    errand_fail_now(&x->call->e, &err);
}

static void to_pod(struct rest_proxy *x)
{
    const struct object *pod = find(x, KIND_POD);
    int64_t port = 0;
    if (pod == NULL) {
        fail_absent(x);
        return;
    }
    if (!is_number(x->port, &port)) {
        port = pod_port(pod, x->port);
    }
    if (port == 0 && x->port.n > 0) {
        rest_answer_failure(x->call, 400, "pod \"%.*s\" has no port \"%.*s\"", STR_ARG(x->name), STR_ARG(x->port));
        return;
    }
    go_to(x, x->name, port == 0 ? 80 : port);
}

/* The service's port that is meant. Not found: MP_NONE. */
static struct mp service_port(const struct rest_proxy *x, const struct object *service)
{
    struct mp ports = mp_get(object_spec(service), "ports");
    int64_t n = 0;
    bool number = is_number(x->port, &n);
    for (struct mp_iter p = mp_iter(ports); mp_next(&p);) {
        bool only = x->port.n == 0 && mp_count(ports) == 1;
        if (only ||
            (number ? mp_int(mp_get(p.value, "port"), 0) == n : str_eq(mp_str(mp_get(p.value, "name")), x->port))) {
            return p.value;
        }
    }
    return mp_of(NULL, 0);
}

/* One of the pods that take traffic, any of them as likely: which, and its port. */
static bool choose_pod(const struct rest_proxy *x, const struct object *endpoints, struct str port_name,
                       struct str *pod, int64_t *port)
{
    uint32_t seen = 0, random;
    for (struct mp_iter s = mp_iter(mp_get(object_mp(endpoints), "subsets")); mp_next(&s);) {
        int64_t number = 0;
        for (struct mp_iter p = mp_iter(mp_get(s.value, "ports")); mp_next(&p);) {
            if (str_eq(mp_str(mp_get(p.value, "name")), port_name)) {
                number = mp_int(mp_get(p.value, "port"), 0);
            }
        }
        for (struct mp_iter a = mp_iter(mp_get(s.value, "addresses")); number > 0 && mp_next(&a);) {
            struct mp ref = mp_get(a.value, "targetRef");
            env_random(x->call->e.api.m->env, &random, sizeof random);
            if (str_is(mp_str(mp_get(ref, "kind")), "Pod") && random % ++seen == 0) {
                *pod = mp_str(mp_get(ref, "name"));
                *port = number;
            }
        }
    }
    return seen > 0;
}

static void to_service(struct rest_proxy *x)
{
    const struct object *service = find(x, KIND_SERVICE), *endpoints = find(x, KIND_ENDPOINTS);
    struct str pod;
    int64_t port;
    if (service == NULL) {
        fail_absent(x);
        return;
    }
    struct mp meant = service_port(x, service);
    if (mp_type(meant) == MP_NONE) {
        rest_answer_failure(x->call, 400, "service \"%.*s\" has no port \"%.*s\"%s", STR_ARG(x->name), STR_ARG(x->port),
                            x->port.n == 0 ? ": it has several, name one" : "");
    } else if (endpoints == NULL || !choose_pod(x, endpoints, mp_str(mp_get(meant, "name")), &pod, &port)) {
        rest_answer_failure(x->call, 503, "no endpoints available for service \"%.*s\"", STR_ARG(x->name));
    } else {
        go_to(x, pod, port);
    }
}

/* ---- Nodes ---- */

static void tell_pods(struct rest_proxy *x, const struct view *v)
{
    struct rest_call *c = x->call;
    const struct kind *k = kind_by_id(KIND_POD);
    const struct rest_view form = {.api_version = "v1", .now_ms = env_wall_ms(c->e.api.m->env)};
    CLEANUP_BUF struct buf body = BUF_INIT;
    struct view_iter it;
    bool first = true;
    rest_write_list_head(&body, &form, k);
    view_iter_node_pods(&it, v, x->name);
    for (const struct object *o; (o = view_next(&it)) != NULL; first = false) {
        rest_write_item(&body, &form, o, first);
    }
    const struct rest_list_end end = {.revision = view_revision(v), .remaining = -1};
    rest_write_list_end(&body, &form, &end, first);
    rest_answer(c, 200, NULL, &body);
}

static void of_node(struct rest_proxy *x)
{
    struct rest_call *c = x->call;
    const struct master *m = c->e.api.m;
    const struct view *v = store_committed(replica_store(m->replica));
    struct str rest = c->path.rest;
    if (view_get(v, kind_by_id(KIND_NODE), STR_NONE, x->name) == NULL) {
        fail_absent(x);
    } else if (!str_is(str_of(x->verb), "get")) {
        rest_answer_failure(c, 405, "of a node there is nothing but GET here");
    } else if (str_is(rest, "/healthz")) {
        CLEANUP_BUF struct buf body = BUF_INIT;
        bool here = strmap_get(&m->agents, x->name) != NULL;
        buf_puts(&body, here ? "ok" : "the node's agent is not connected to this master");
        rest_answer(c, here ? 200 : 503, "text/plain; charset=utf-8", &body);
    } else if (str_is(rest, "/pods") || str_is(rest, "/pods/")) {
        tell_pods(x, v);
    } else {
        rest_answer_failure(c, 404,
                            "agents have no server of their own: of a node there are /healthz and /pods; logs, exec "
                            "and metrics are asked of its pods and of metrics.k8s.io");
    }
}

void rest_proxy_here(struct rest_call *c)
{
    struct rest_proxy *x = c->proxy;
    if (c->path.kind->id == KIND_NODE) {
        of_node(x);
    } else if (c->path.kind->id == KIND_SERVICE) {
        to_service(x);
    } else {
        to_pod(x);
    }
}

void rest_proxy_drained(struct rest_call *c)
{
    give_credit(c->proxy);
}

void rest_proxy_lost(struct rest_call *c)
{
    if (c->proxy->node != NULL) { /* else the errand comes back, and is failed */
        leave_node(c->proxy);
        c->e.answered = c->e.answered != 0 ? c->e.answered : 503; /* nobody waits for what the pod says */
        errand_end(&c->e);
        rest_call_free(c);
    }
}
