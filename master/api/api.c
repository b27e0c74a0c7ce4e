/* What verbs and fronts share: which kind is meant, and failing. */
#include "master/api/api.h"

#include <stdarg.h>
#include <stdio.h>

#include "master/api/delete.h"
#include "master/api/node_leases.h"
#include "master/api/read.h"
#include "master/master.h"

static const struct view *committed(const struct master *m)
{
    return store_committed(replica_store(m->replica));
}

const struct kind *api_kind_named(const struct master *m, struct str name, bool any, struct error *err)
{
    const struct kind *k = any ? view_kind_named(committed(m), name) : kind_by_name(name);
    if (k == NULL) {
        CLEANUP_BUF struct buf why = BUF_INIT;
        kind_explain_unknown(&why, name);
        error_set(err, ERR_NOT_FOUND, "unknown kind \"%.*s\": %s", STR_ARG(name), buf_cstr(&why));
    }
    return k;
}

bool api_kind_has_namespaces(const struct master *m, const struct kind *k)
{
    if (!k->namespaced || !kind_is_unknown(k)) {
        return k->namespaced;
    }
    struct view_iter it;
    view_iter(&it, committed(m), k, STR_NONE);
    const struct object *first = view_next(&it);
    return first == NULL || first->ns.n > 0;
}

void api_do(struct api_call *c, const struct api_request *q)
{
    if (node_lease_refused(c, q)) {
        return;
    }
    switch (q->verb) {
    case API_GET:
        verb_get(c, &q->get);
        break;
    case API_LIST:
        verb_list(c, &q->list);
        break;
    case API_WATCH:
        verb_watch(c, &q->watch);
        break;
    case API_CREATE:
        verb_create(c, &q->create);
        break;
    case API_UPDATE:
        verb_update(c, &q->update);
        break;
    case API_PATCH:
        verb_patch(c, &q->patch);
        break;
    case API_APPLY:
        verb_apply(c, &q->apply);
        break;
    case API_DELETE:
        verb_delete(c, &q->delete);
        break;
    case API_DELETECOLLECTION:
        verb_deletecollection(c, &q->deletecollection);
        break;
    case API_EVICT:
        verb_evict(c, &q->evict);
        break;
    case API_BIND:
        verb_bind(c, &q->bind);
        break;
    case API_TXN:
        verb_txn(c, &q->txn);
        break;
    case API_TOKEN:
        verb_token(c, &q->token);
        break;
    case API_WHOAMI:
        verb_whoami(c);
        break;
    case API_METRICS:
        verb_metrics(c, &q->metrics);
        break;
    case API_CLUSTER:
        verb_cluster(c);
        break;
    case API_CERT_STATUS:
        verb_cert_status(c);
        break;
    case API_ACCESS:
        verb_access(c, &q->access);
        break;
    case API_RULES:
        verb_rules(c, &q->rules);
        break;
    case API_ACCOUNT_TOKEN:
        verb_account_token(c, &q->account_token);
        break;
    case API_TOKEN_REVIEW:
        verb_token_review(c, &q->token_review);
        break;
    }
}

bool api_goes_on(const struct api_call *c)
{
    return c->listing != NULL || c->clearing != NULL;
}

void api_go_on(struct api_call *c)
{
    if (c->listing != NULL) {
        list_go_on(c);
    } else {
        clear_go_on(c);
    }
}

void api_let_go(struct api_call *c)
{
    list_let_go(c);
    clear_let_go(c);
}

void api_fail(struct api_call *c, int code, const char *fmt, ...)
{
    struct error err = {.code = code};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.message, sizeof err.message, fmt, ap);
    va_end(ap);
    c->front->fail(c, &err);
}

void api_answer(struct api_call *c, const struct api_answer *a)
{
    if (c->seen != NULL) {
        c->seen(c, a);
    }
    c->front->answer(c, a);
}
