/* account.token and token.review over msgpack-RPC. */
#include "master/front/verbs_int.h"

static int read_audiences(const struct reader *r, struct str out[API_AUDIENCES_MAX], unsigned *count)
{
    for (struct mp_iter it = mp_iter(get(r, "audiences")); mp_next(&it);) {
        if (*count == API_AUDIENCES_MAX || mp_type(it.value) != MP_STR) {
            return error_set(r->err, ERR_USAGE, "%s: audiences must be a list of at most %u texts", r->row->name,
                             API_AUDIENCES_MAX);
        }
        out[(*count)++] = mp_str(it.value);
    }
    return 0;
}

static void put_audiences(struct writer *w, const struct str *audiences, unsigned count)
{
    if (count > 0) {
        put_key(w, "audiences");
        mp_write_array(w->b, count);
        for (unsigned i = 0; i < count; i++) {
            mp_write_str(w->b, audiences[i]);
        }
    }
}

int verbs_read_account_token(const struct reader *r, struct api_request *q)
{
    struct api_account_token *t = &q->account_token;
    int rv = text(r, "namespace", &t->ns, false);
    rv = rv != 0 ? rv : text(r, "name", &t->name, true);
    rv = rv != 0 ? rv : text(r, "boundKind", &t->bound_kind, false);
    rv = rv != 0 ? rv : text(r, "boundName", &t->bound_name, false);
    rv = rv != 0 ? rv : text(r, "boundUid", &t->bound_uid, false);
    if (rv != 0) {
        return rv;
    }
    t->ns = t->ns.n == 0 ? STR("default") : t->ns;
    t->expiration_s = mp_int(get(r, "expirationSeconds"), 0);
    return read_audiences(r, t->audiences, &t->audiences_count);
}

void verbs_write_account_token(struct writer *w, const struct api_request *q)
{
    const struct api_account_token *t = &q->account_token;
    put_text(w, "namespace", t->ns);
    put_text(w, "name", t->name);
    put_text(w, "boundKind", t->bound_kind);
    put_text(w, "boundName", t->bound_name);
    put_text(w, "boundUid", t->bound_uid);
    put_int(w, "expirationSeconds", t->expiration_s, 0);
    put_audiences(w, t->audiences, t->audiences_count);
}

int verbs_read_token_review(const struct reader *r, struct api_request *q)
{
    int rv = text(r, "token", &q->token_review.token, true);
    return rv != 0 ? rv : read_audiences(r, q->token_review.audiences, &q->token_review.audiences_count);
}

void verbs_write_token_review(struct writer *w, const struct api_request *q)
{
    put_text(w, "token", q->token_review.token);
    put_audiences(w, q->token_review.audiences, q->token_review.audiences_count);
}
