/* proxy of pods, services and nodes, with a fake agent in the pods' place; and watches over WebSocket. */
#include "tests/unit/master_rest_streams.h"

/* [3 websocket] [3 websocket-protocol] [8 browsers] Messages of text begin with '{', so they are gathered by hand. */
static void watches_over_websocket(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        CLEANUP_FREE char *name = xasprintf("seen-%u", by);
        CLEANUP_FREE char *wanted = xasprintf("\"name\":\"%s\"", name);
        struct buf b = BUF_INIT;
        static const uint8_t mask[4] = {1, 2, 3, 4};
        send_text(x, "GET /api/v1/namespaces/default/configmaps?watch=true&allowWatchBookmarks=true HTTP/1.1\r\nHost: "
                     "x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
                     "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: "
                     "base64url.bearer.authorization.k8s.io.c2VjcmV0, base64.binary.k8s.io\r\n\r\n");
        x->ws = true;
        UNTIL(x, x->has_head);
        assert_non_null(strstr(buf_cstr(&x->head), "Sec-WebSocket-Protocol: base64.binary.k8s.io\r\n"));
        assert_null(strstr(buf_cstr(&x->head), "c2VjcmV0"));
        must(s->admin, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}}", name);
        UNTIL(x, strstr(buf_cstr(&x->said), wanted) != NULL);
        assert_non_null(strstr(buf_cstr(&x->said), "{\"type\":\"ADDED\",\"object\":{"));
        ws_put_masked(&b, WS_PING, true, STR("hm"), mask);
        ws_put_masked(&b, WS_TEXT, true, STR("of no use"), mask);
        send_buf(x, &b);
        UNTIL(x, x->pings == 1);
        must(s->admin, "delete", "{kind: ConfigMap, namespace: default, name: %s}", name);
        UNTIL(x, strstr(buf_cstr(&x->said), "{\"type\":\"DELETED\",\"object\":{") != NULL);
        ws_put_masked(&b, WS_CLOSE, true, STR("\x03\xe8"), mask);
        send_buf(x, &b);
        UNTIL(x, x->closes == 1 && x->closed);
        peer_free(x);
    }
    struct peer *x = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
    send_text(x, "GET /api/v1/configmaps?watch=true&timeoutSeconds=1 HTTP/1.1\r\nHost: x\r\nConnection: "
                 "Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                 "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    x->ws = true;
    UNTIL(x, x->closes == 1 && x->closed); /* its time is over */
    assert_int_equal(x->close_code, WS_NORMAL);
    peer_free(x);
    x = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
    send_text(x, "GET /api/v1/configmaps?watch=true HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
                 "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                 "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x83\x81");
    x->ws = true;
    UNTIL(x, x->closes == 1 && x->closed);
    assert_int_equal(x->close_code, WS_PROTOCOL_ERROR);
    peer_free(x);
}

static struct peer *ask_log(struct state *s, unsigned by, const char *query, const char *protocol)
{
    CLEANUP_FREE char *text =
        xasprintf("GET /api/v1/namespaces/default/pods/p/log%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
                  "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                  query, protocol);
    struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
    x->ws = x->bytes = true;
    got_asked = false;
    send_text(x, text);
    return x;
}

/* [4 log] The first message is empty, then the bytes come as they come, and Close when all is told. */
static void logs_over_websocket(void **state)
{
    struct state *s = *state;
#define OFFER "Sec-WebSocket-Protocol: "
    static const struct {
        const char *offered, *agreed, *said;
    } rows[] = {{OFFER "binary.k8s.io\r\n", OFFER "binary.k8s.io\r\n", "\none\n\ntwo\n"},
                {OFFER "base64url.bearer.authorization.k8s.io.c2VjcmV0, base64.binary.k8s.io\r\n",
                 OFFER "base64.binary.k8s.io\r\n", "\nb25lCg==\ndHdv\n"},
                {"", "\r\n", "\none\n\ntwo\n"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
        const char *offered = rows[i / 2].offered, *said = rows[i / 2].said;
        struct peer *x = ask_log(s, (unsigned)i % 2, "?follow=true&container=c", offered);
        struct stream *a = take_asked(s);
        assert_string_equal(asked_method, "pod.logs");
        agent_say(a, NULL, "one\n");
        UNTIL(x, x->said.size > 1);
        assert_non_null(strstr(buf_cstr(&x->head), "HTTP/1.1 101 Switching Protocols\r\n"));
        assert_non_null(strstr(buf_cstr(&x->head), rows[i / 2].agreed));
        assert_true(offered[0] != '\0' || strstr(buf_cstr(&x->head), OFFER) == NULL);
        agent_say(a, NULL, "two");
        stream_end(a, NULL);
        UNTIL(x, x->closes == 1 && x->closed);
        assert_int_equal(x->close_code, WS_NORMAL);
        assert_string_equal(buf_cstr(&x->said), said);
        peer_free(x);
        stream_close(a);
    }
    BOTH(by)
    {
        struct peer *x = ask_log(s, by, "?follow=true", OFFER "binary.k8s.io\r\n"); /* who has heard enough */
        struct stream *a = take_asked(s);
        struct buf b = BUF_INIT;
        static const uint8_t mask[4] = {1, 2, 3, 4};
        UNTIL(x, x->said.size > 0);
        ws_put_masked(&b, WS_PING, true, STR("hm"), mask);
        ws_put_masked(&b, WS_CLOSE, true, STR("\x03\xe8"), mask);
        send_buf(x, &b);
        UNTIL(x, x->closes == 1 && x->closed);
        assert_int_equal(x->pings, 1);
        stream_wait_end(a);
        peer_free(x);
        stream_close(a);
        x = ask_log(s, by, "?container=none", OFFER "binary.k8s.io\r\n"); /* what is refused is so before it begins */
        UNTIL(x, strstr(buf_cstr(&x->head), "container none is not valid") != NULL);
        assert_memory_equal(buf_cstr(&x->head), "HTTP/1.1 400 ", 13);
        peer_free(x);
        x = ask_log(s, by, "", OFFER "v4.channel.k8s.io\r\n");
        UNTIL(x, strstr(buf_cstr(&x->head), "logs are told in binary.k8s.io") != NULL);
        assert_memory_equal(buf_cstr(&x->head), "HTTP/1.1 403 ", 13);
        peer_free(x);
    }
#undef OFFER
}

/* A request that becomes a stream may have come behind others, and its frames behind it. */
static void frames_behind_a_pipelined_watch_are_read(void **state)
{
    struct state *s = *state;
    BOTH(by)
    {
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_ADMIN, "tester");
        static const uint8_t mask[4] = {1, 2, 3, 4};
        struct buf b = BUF_INIT;
        buf_puts(&b, "GET /api/v1/namespaces/default/pods/p HTTP/1.1\r\nHost: x\r\n\r\n"
                     "GET /api/v1/configmaps?watch=true HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
                     "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        ws_put_masked(&b, WS_PING, true, STR("hm"), mask);
        send_buf(x, &b);
        UNTIL(x, x->head.size > 0 && memmem(x->head.data, x->head.size, "\x8a\2hm", 4) != NULL);
        peer_free(x);
    }
}

/* ---- proxy ---- */

static void ask_proxy(struct peer *x, const char *method, const char *path, const char *body)
{
    CLEANUP_FREE char *text =
        xasprintf("%s /api/v1/%s HTTP/1.1\r\nHost: master\r\nAuthorization: Bearer secret\r\nConnection: keep-alive, "
                  "X-Hop\r\nX-Hop: 1\r\nX-Kept: 2\r\nAccept: text/html\r\n%s%zu\r\n\r\n%s",
                  method, path, body == NULL ? "X-Length: " : "Content-Length: ", body == NULL ? 0 : strlen(body),
                  body == NULL ? "" : body);
    send_text(x, text);
}

/* What has come at the agent, up to `end`. */
static const char *heard(struct state *s, struct stream *a, const char *end)
{
    struct buf b = BUF_INIT;
    while (strstr(buf_cstr(&b), end) == NULL) {
        buf_puts(&b, bytes_of(s, stream_next(a), NULL));
    }
    const char *text = arena_strdup(&s->kit->arena, buf_cstr(&b));
    buf_close(&b);
    return text;
}

/* [2 proxy-pods] [2 proxy-nodes] [1 path-sub-path] [8 browsers] */
static void requests_are_handed_on_to_pods(void **state)
{
    struct state *s = *state;
    static const struct {
        const char *answer, *wanted; /* NULL: it comes as it is, but for the connection's headers */
        bool cut;                    /* the pod closes before all is said */
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nX-Own: y\r\n\r\nhello",
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Own: y\r\nConnection: close\r\n\r\nhello", false},
        {"HTTP/1.1 404 Not There\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
         "HTTP/1.1 404 Not There\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
         true},
        {"HTTP/1.0 200 OK\r\n\r\nuntil it closes", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil it closes", true},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n", "HTTP/1.1 204 None\r\nConnection: close\r\n\r\n",
         false},
        {"SSH-2.0-x\r\n\r\n", "HTTP/1.1 503 ", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "HTTP/1.1 503 ", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 503 ", false},
        {"", "HTTP/1.1 503 ", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct peer *x = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
        got_asked = false;
        ask_proxy(x, "POST", "namespaces/default/pods/http:p:8080/proxy/a%20b//c/../d?limit=x&y=%zz", "the body");
        struct stream *a = take_asked(s);
        assert_string_equal(asked_method, "pod.portforward");
        assert_int_equal(value_path_int(asked_params, "port", 0), 8080);
        assert_true(value_path_bool(asked_params, "podIP", false)); /* not its loopback, which is its own */
        const char *request = heard(s, a, "the body");
        assert_string_equal(request, "POST /a%20b//c/../d?limit=x&y=%zz HTTP/1.1\r\nHost: p\r\nConnection: "
                                     "close\r\nX-Kept: 2\r\nAccept: text/html\r\nContent-Length: 8\r\n\r\nthe body");
        size_t n = strlen(rows[i].answer), half = n / 2;
        CLEANUP_FREE char *first = xstrndup(rows[i].answer, half);
        if (n > 0) {
            agent_say(a, NULL, first);
            kit_turn(s->kit, 5);
            agent_say(a, NULL, rows[i].answer + half);
        }
        if (rows[i].cut) {
            stream_send(a, "{eof: true}");
        }
        UNTIL(x, x->closed || strstr(buf_cstr(&x->head), rows[i].wanted) != NULL);
        assert_ptr_equal(strstr(buf_cstr(&x->head), rows[i].wanted), buf_cstr(&x->head));
        stream_wait_end(a);
        peer_free(x);
        stream_close(a);
    }
}

/* [2 proxy-services] [2 proxy-nodes] */
static void services_lead_to_pods(void **state)
{
    struct state *s = *state;
    must(s->admin, "create",
         "{object: {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{name: http, port: 80, "
         "targetPort: 8080}]}}}");
    must(s->admin, "create",
         "{object: {apiVersion: v1, kind: Endpoints, metadata: {name: web}, subsets: [{addresses: [{ip: 10.9.9.9, "
         "targetRef: {kind: Pod, namespace: default, name: p}}], ports: [{name: http, port: 8080}]}]}}");
    static const char *const names[] = {"web", "web:80", "web:http", "http:web:80"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct peer *x = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
        CLEANUP_FREE char *path = xasprintf("namespaces/default/services/%s/proxy", names[i]);
        got_asked = false;
        ask_proxy(x, "GET", path, NULL);
        struct stream *a = take_asked(s);
        assert_int_equal(value_path_int(asked_params, "port", 0), 8080);
        assert_string_equal(value_text(s->kit, asked_params, "name"), "p");
        assert_non_null(strstr(heard(s, a, "\r\n\r\n"), "GET / HTTP/1.1\r\n"));
        peer_free(x);
        stream_wait_end(a); /* who asked is gone */
        stream_close(a);
    }
    static const struct {
        const char *path, *said;
    } rows[] = {
        {"namespaces/default/services/web:81/proxy/", " 400 "},
        {"namespaces/default/services/none/proxy/", " 404 "},
        {"namespaces/default/services/https:web:80/proxy/", " 400 "},
        {"namespaces/default/pods/p:http/proxy/", " 400 "},
        {"namespaces/default/pods/a:b:c:d/proxy/", " 400 "},
        {"namespaces/default/pods/none/proxy/", " 404 "},
        {"nodes/n1/proxy/healthz", "\r\n\r\nok"},
        {"nodes/n1/proxy/pods", "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{"},
        {"nodes/n1/proxy/run/x", "agents have no server of their own"},
        {"nodes/n9/proxy/healthz", " 404 "},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct peer *x = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
        ask_proxy(x, "GET", rows[i].path, NULL);
        UNTIL(x, strstr(buf_cstr(&x->head), rows[i].said) != NULL);
        peer_free(x);
    }
}

/* A role in a namespace is no right to nodes. */
static void what_is_proxied_is_judged_by_its_method(void **state)
{
    struct state *s = *state;
    must(s->admin, "create",
         "{object: {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: looks}, rules: [{apiGroups: "
         "[''], resources: [pods/proxy, nodes/proxy], verbs: [get]}]}}");
    must(s->admin, "create",
         "{object: {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: looks}, roleRef: "
         "{apiGroup: rbac.authorization.k8s.io, kind: Role, name: looks}, subjects: [{apiGroup: "
         "rbac.authorization.k8s.io, kind: User, name: looks}]}}");
    BOTH(by)
    {
        struct peer *x = peer_as(s, master_of(s, by), PKI_ROLE_USER, "looks");
        ask_proxy(x, "POST", "namespaces/default/pods/p/proxy/", "x");
        UNTIL(x, strstr(buf_cstr(&x->head), "cannot create resource") != NULL);
        peer_free(x);
        x = peer_as(s, master_of(s, by), PKI_ROLE_USER, "looks");
        ask_proxy(x, "GET", "nodes/n1/proxy/pods", NULL);
        UNTIL(x, strstr(buf_cstr(&x->head), "cannot get resource") != NULL);
        peer_free(x);
    }
    struct peer *x = peer_as(s, s->leader, PKI_ROLE_USER, "looks");
    got_asked = false;
    ask_proxy(x, "GET", "namespaces/default/pods/p/proxy/", NULL);
    struct stream *a = take_asked(s);
    assert_int_equal(value_path_int(asked_params, "port", 0), 80);
    peer_free(x);
    stream_close(a);
}

/* RFC 9110 9.3.2: what follows on the connection is the next answer. */
static void an_error_of_head_has_no_body(void **state)
{
    struct state *s = *state;
    static const char *const paths[] = {"namespaces/default/pods/none/proxy/", "namespaces/default/pods/a:b:c:d/proxy/",
                                        "nodes/n9/proxy/healthz", "namespaces/default/pods/p"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct peer *x = peer_as(s, master_of(s, (unsigned)i % 2), PKI_ROLE_ADMIN, "tester");
        CLEANUP_FREE char *text = xasprintf("HEAD /api/v1/%s HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nHost: "
                                            "x\r\nConnection: close\r\n\r\n",
                                            paths[i]);
        send_text(x, text);
        UNTIL(x, x->closed);
        const char *answer = buf_cstr(&x->head), *end = strstr(answer, "\r\n\r\n");
        assert_memory_equal(answer, "HTTP/1.1 40", 11);
        assert_null(strstr(answer, "Content-Length: 0\r\n"));
        assert_non_null(end);
        assert_memory_equal(end + 4, "HTTP/1.1 200 OK\r\n", 17);
        peer_free(x);
    }
}

/* [9 http-2] */
static void http_2_is_refused_in_plain_words(void **state)
{
    struct state *s = *state;
    struct peer *x = peer_as(s, s->leader, PKI_ROLE_ADMIN, "tester");
    send_text(x, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    UNTIL(x, x->closed);
    assert_non_null(strstr(buf_cstr(&x->head), "HTTP/1.1 505 HTTP Version Not Supported\r\n"));
    assert_non_null(strstr(buf_cstr(&x->head), "HTTP/2 is not spoken here"));
    peer_free(x);
    x = peer_offers(s, s->leader, PKI_ROLE_ADMIN, "tester", "h2"); /* who can do nothing else gets no connection */
    UNTIL(x, x->closed);
    assert_int_equal(x->head.size, 0);
    assert_non_null(strstr(x->why, "does not speak h2"));
    peer_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watches_over_websocket),
        cmocka_unit_test(logs_over_websocket),
        cmocka_unit_test(frames_behind_a_pipelined_watch_are_read),
        cmocka_unit_test(requests_are_handed_on_to_pods),
        cmocka_unit_test(services_lead_to_pods),
        cmocka_unit_test(what_is_proxied_is_judged_by_its_method),
        cmocka_unit_test(an_error_of_head_has_no_body),
        cmocka_unit_test(http_2_is_refused_in_plain_words),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
