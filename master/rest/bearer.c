/* Who asks over HTTP: the certificate of the connection says it, or, where there is none, a token of the request's own
 * (Authorization: Bearer). A connection that has shown one that was good is a stranger's no more: its requests take
 * turns with those of that user, and it may stay. */
#include <stdlib.h>

#include "master/auth/bearer.h"
#include "master/rest/call.h"

/* Empty: there is none. What is no Bearer counts for nothing, as in Kubernetes. */
static struct str token_of(const struct http_request *r)
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

/* Nothing of it waits: the connection answers one request after the other. */
static void count_on(struct session *s, const struct pki_identity *who)
{
    struct subject *subject = subject_get(s->m->turns, who, s->way->addr(s));
    if (subject == s->subject || s->lane.watches > 0 || !list_empty(&s->lane.works)) {
        subject_unref(s->m->turns, subject);
        return;
    }
    subject_unref(s->m->turns, s->subject);
    s->subject = subject;
    lane_init(&s->lane, subject);
}

static void welcome(struct rest_conn *c)
{
    struct session *s = c->session;
    if (!list_empty(&s->stranger_link)) {
        list_remove(&s->stranger_link);
        list_init(&s->stranger_link);
        if (c->wire->proven != NULL) {
            c->wire->proven(c->wire_data, &c->who->identity);
        }
    }
}

bool rest_conn_who(struct rest_conn *c)
{
    struct session *s = c->session;
    struct str token = s->who.role == PKI_ROLE_NONE && s->refusal == NULL ? token_of(&c->in.request) : STR_NONE;
    principal_unref(TAKE_PTR(c->who));
    free(TAKE_PTR(c->denied));
    if (s->who.role != PKI_ROLE_NONE) {
        return true;
    }
    if (token.n > 0) {
        char network[NET_NETWORK_MAX];
        struct error err = {0};
        net_addr_network(s->way->addr(s), network);
        if (bearer_prove(s->m, token, str_of(network), &c->who, &err) != 0) {
            c->denied = xmemdup(&err, sizeof err);
        } else {
            welcome(c);
        }
    }
    count_on(s, c->who != NULL ? &c->who->identity : &s->who);
    return http_in_limit(&c->in, c->who != NULL ? REST_BODY_MAX : MASTER_STRANGER_MESSAGE_MAX);
}
