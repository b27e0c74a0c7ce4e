/* Who asks over HTTP: the certificate of the connection says it, or, where there is none, a token of the request's own
 * (Authorization: Bearer; of a WebSocket also a protocol that it offers). A connection that has shown one that was good
 * is a stranger's no more: its requests take turns with those of that user, and it may stay.
 * Source of the protocol: Kubernetes' websocket bearer token authenticator. */
#include <stdlib.h>

#include "master/auth/bearer.h"
#include "master/front/sessions.h"
#include "master/rest/call.h"
#include "proto/text/text.h"

#define IN_PROTOCOL "base64url.bearer.authorization.k8s.io."

/* Empty: there is none. What is no Bearer counts for nothing, as in Kubernetes. */
static struct str token_of_header(const struct http_request *r)
{
    struct str text = http_header(r, "Authorization");
    const char *blank = text.n == 0 ? NULL : memchr(text.p, ' ', text.n);
    size_t n = blank == NULL ? 0 : (size_t)(blank - text.p);
    if (blank == NULL || !http_is_word((struct str){text.p, n}, "Bearer")) {
        return STR_NONE;
    }
    while (n < text.n && text.p[n] == ' ') {
        n++;
    }
    return (struct str){text.p + n, text.n - n};
}

static struct str next_protocol(struct str *list)
{
    const char *comma = memchr(list->p, ',', list->n);
    struct str one = {list->p, comma == NULL ? list->n : (size_t)(comma - list->p)};
    list->p += one.n + (comma != NULL);
    list->n -= one.n + (comma != NULL);
    while (one.n > 0 && (one.p[0] == ' ' || one.p[0] == '\t')) {
        one.p++;
        one.n--;
    }
    while (one.n > 0 && (one.p[one.n - 1] == ' ' || one.p[one.n - 1] == '\t')) {
        one.n--;
    }
    return one;
}

/* A browser's WebSocket can have no header of its own, so a token stands among the protocols that it offers: one of
 * them, in base64url, beside another one that is agreed to. Whatever else was meant is no request of nobody. */
static int token_of_protocols(const struct http_request *r, struct buf *token, struct error *err)
{
    unsigned tokens = 0, others = 0;
    if (!http_header_has(r, "Connection", "Upgrade") || !http_header_has(r, "Upgrade", "websocket")) {
        return 0;
    }
    for (unsigned i = 0; i < r->headers_count; i++) {
        struct str list = r->headers[i].value;
        while (http_is_word(r->headers[i].name, "Sec-WebSocket-Protocol") && list.n > 0) {
            struct str one = next_protocol(&list);
            bool is = str_starts(one, STR(IN_PROTOCOL));
            tokens += is;
            others += !is && one.n > 0;
            if (is && tokens == 1 &&
                !base64url_read(token,
                                (struct str){one.p + sizeof IN_PROTOCOL - 1, one.n - (sizeof IN_PROTOCOL - 1)})) {
                return error_set(err, ERR_UNAUTHORIZED, "the token among the WebSocket protocols is no base64url");
            }
        }
    }
    if (tokens > 1 || (tokens == 1 && (others == 0 || token->size == 0))) {
        return error_set(err, ERR_UNAUTHORIZED,
                         "of the WebSocket protocols one may be a token, and another one must be there beside it");
    }
    return 0;
}

/* Nothing of it waits: the connection answers one request after the other. */
static void count_on(struct session *s, const struct pki_identity *who)
{
    struct subject *subject = subject_get(s->m->turns, who, s->way->addr(s));
    if (subject == s->subject || s->lane.watches > 0 || lane_waits(&s->lane)) {
        subject_unref(s->m->turns, subject);
        return;
    }
    subject_unref(s->m->turns, s->subject);
    s->subject = subject;
    lane_init(&s->lane, subject);
}

/* Its token is good, and there is a place for him: the connection is a stranger's no more. Otherwise it stays what it
 * is, and is asked again with the next request. */
static void welcome(struct rest_conn *c)
{
    struct session *s = c->session;
    if (!list_empty(&s->stranger_link) && bearer_check(s->m, c->who, NULL) == 0 &&
        (c->wire->proven == NULL || c->wire->proven(c->wire_data, &c->who->identity))) {
        list_remove(&s->stranger_link);
        list_init(&s->stranger_link);
    }
}

/* Whom its token proves; nobody, without one. */
static int prove(struct rest_conn *c, struct error *err)
{
    struct session *s = c->session;
    char network[NET_NETWORK_MAX];
    CLEANUP_BUF_WIPE struct buf decoded = BUF_INIT;
    struct str token = token_of_header(&c->in.request);
    int rv = token.n > 0 ? 0 : token_of_protocols(&c->in.request, &decoded, err);
    token = token.n > 0 ? token : buf_str(&decoded);
    if (rv != 0 || token.n == 0) {
        return rv;
    }
    net_addr_network(s->way->addr(s), network);
    return bearer_prove(s->m, token, str_of(network), &c->who, err);
}

bool rest_conn_who(struct rest_conn *c)
{
    struct session *s = c->session;
    struct error err = {0};
    principal_unref(TAKE_PTR(c->who));
    free(TAKE_PTR(c->denied));
    if (s->principal->role != PKI_ROLE_NONE) {
        return true;
    }
    if (s->refusal == NULL && prove(c, &err) != 0) {
        c->denied = xmemdup(&err, sizeof err);
    } else if (c->who != NULL) {
        welcome(c);
    }
    count_on(s, c->who != NULL ? &c->who->identity : &s->principal->identity);
    if (c->who != NULL) {
        struct principal *own = c->who;
        c->who = sessions_principal(s->subject, own);
        principal_unref(own);
    }
    return http_in_limit(&c->in, c->who != NULL ? REST_BODY_MAX : MASTER_STRANGER_MESSAGE_MAX);
}
