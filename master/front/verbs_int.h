/* Parameters of typed requests, for those who read and write them: verbs.c, verbs_account.c. */
#ifndef MASTER_FRONT_VERBS_INT_H
#define MASTER_FRONT_VERBS_INT_H

#include "master/front/verbs.h"

/* Parameters that become a request. */
struct reader {
    const struct master *m;
    struct arena *arena;
    struct params *params;
    const struct method *row;
    struct error *err;
};
/* A map of parameters that are added one by one. */
struct writer {
    const struct master *m;
    struct buf *b;
    unsigned count;
};

static inline struct str method_of(const struct reader *r)
{
    return str_of(r->row->name);
}

static inline struct mp get(const struct reader *r, const char *key)
{
    return params_get(r->params, key);
}

static inline int text(const struct reader *r, const char *key, struct str *out, bool required)
{
    return params_str(r->params, method_of(r), key, out, required, r->err);
}

static inline void put_key(struct writer *w, const char *key)
{
    w->count++;
    mp_write_cstr(w->b, key);
}

static inline void put_text(struct writer *w, const char *key, struct str s)
{
    if (s.n > 0) {
        put_key(w, key);
        mp_write_str(w->b, s);
    }
}

static inline void put_int(struct writer *w, const char *key, int64_t n, int64_t standard)
{
    if (n != standard) {
        put_key(w, key);
        mp_write_int(w->b, n);
    }
}

static inline void put_true(struct writer *w, const char *key, bool flag)
{
    if (flag) {
        put_key(w, key);
        mp_write_bool(w->b, true);
    }
}

/* ---- Of verbs_account.c ---- */

int verbs_read_account_token(const struct reader *r, struct api_request *q);
void verbs_write_account_token(struct writer *w, const struct api_request *q);
int verbs_read_token_review(const struct reader *r, struct api_request *q);
void verbs_write_token_review(struct writer *w, const struct api_request *q);

#endif
