#include "master/front/typed.h"

#include "master/front/verbs.h"

static const struct api_write *write_of(const struct api_request *q)
{
    switch (q->verb) {
    case API_GET:
    case API_LIST:
    case API_WATCH:
    case API_TOKEN:
    case API_WHOAMI:
    case API_METRICS:
    case API_CLUSTER:
    case API_CERT_STATUS:
    case API_ACCESS:
    case API_RULES:
    case API_ACCOUNT_TOKEN:
    case API_TOKEN_REVIEW:
        break;
    case API_CREATE:
        return &q->create.how;
    case API_UPDATE:
        return &q->update.how;
    case API_PATCH:
        return &q->patch.how;
    case API_APPLY:
        return &q->apply.how;
    case API_DELETE:
        return &q->delete.how;
    case API_DELETECOLLECTION:
        return &q->deletecollection.how;
    case API_EVICT:
        return &q->evict.how;
    case API_TXN:
        return &q->txn.how;
    }
    return NULL;
}

void typed_set(struct errand *e, const struct api_request *q)
{
    const struct method *row = verbs_row(q->verb);
    const struct api_write *how = write_of(q);
    e->name = str_of(row->name);
    e->flags = row->flags;
    e->newest = (row->flags & METHOD_NEWEST) != 0 && !(q->verb == API_WATCH && q->watch.revision >= 0);
    e->repeatable = how != NULL && how->id != NULL;
}

bool typed_write(struct errand *e, struct buf *b)
{
    struct api_request q;
    if (!e->front->typed(e, &q)) {
        return false;
    }
    mp_write_key_str(b, "method", e->name);
    mp_write_cstr(b, "params");
    verbs_write(e->api.m, b, &q);
    return true;
}

void typed_answered(struct errand *e, struct mp result)
{
    struct api_request q;
    struct api_answer a;
    struct error err = {0};
    if (!e->front->typed(e, &q)) {
        return;
    }
    if (q.verb >= API_TOKEN) {
        e->api.front->told(&e->api, result);
        return;
    }
    if (verbs_read_answer(&e->arena, q.verb, result, &a, &err) != 0) {
        errand_fail(e, &err);
        return;
    }
    api_answer(&e->api, &a);
    verbs_answer_close(&a);
}
