/* delete and deletecollection: the rules of grace, finalizers and propagation are controllers/deletion.h's. */
#include "master/api/write.h"
#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/master.h"
#include "proto/schema/selector.h"

/* Namespaces that the cluster itself lives in, its list of revoked certificates and the record of its CA. */
static bool is_protected(const struct object *o)
{
    return (o->kind->id == KIND_NAMESPACE && (str_is(o->name, "default") || str_is(o->name, "kube-system"))) ||
           revoked_is_list(o) || rotate_is_record(o);
}

static int request_deletion(struct api_call *c, struct txn *t, const struct object *o,
                            const struct deletion_options *options, struct error *err)
{
    return deletion_request(t, c->arena, o, options, env_wall_ms(c->m->env), err);
}

void verb_delete(struct api_call *c, const struct api_delete *q)
{
    const struct api_target *of = &q->of;
    struct txn t;
    struct error err = {0};
    api_txn_init(&t, &q->how);
    bool repeat = api_repeats(c, &t);
    const struct object *o = repeat ? NULL : view_get(api_tip(c), of->kind, of->ns, of->name);
    if (!repeat && o == NULL) {
        error_not_found(&err, of->kind, of->name);
    } else if (!repeat && is_protected(o)) {
        error_set(&err, ERR_FORBIDDEN, "%s \"%.*s\" can't be deleted: the cluster needs it", of->kind->singular,
                  STR_ARG(of->name));
    } else if (!repeat && admit_cluster_config_delete(api_tip(c), o, &err) == 0) {
        request_deletion(c, &t, o, &q->options, &err);
    }
    if (err.code != 0) {
        api_refuse(c, &err);
    } else {
        struct write *w = write_new(c, API_DELETE);
        write_add(w, of->kind, of->ns, of->name, o);
        write_submit(w, &q->how, &t);
    }
    txn_close(&t);
}

void verb_deletecollection(struct api_call *c, const struct api_deletecollection *q)
{
    struct selector *labels = NULL, *fields = NULL;
    struct error err = {0};
    if (api_selectors(c->arena, &q->of, &labels, &fields, &err) != 0) {
        c->front->fail(c, &err);
        return;
    }
    struct txn t;
    api_txn_init(&t, &q->how);
    struct write *w = write_new(c, API_DELETECOLLECTION);
    struct view_iter it;
    view_iter(&it, api_tip(c), q->of.kind, q->of.ns);
    bool repeat = api_repeats(c, &t);
    VIEW_FOR(o, &it)
    {
        if (repeat) {
            break;
        }
        if (is_protected(o) || admit_cluster_config_delete(it.view, o, NULL) != 0 ||
            (labels != NULL && !selector_matches_object(labels, o)) ||
            (fields != NULL && !field_selector_matches(fields, o))) {
            continue;
        }
        if (t.count == TXN_OPS_MAX) {
            error_set(&err, ERR_TOO_LARGE, "more than %u objects match; delete them in parts (-l)", TXN_OPS_MAX);
            break;
        }
        if (request_deletion(c, &t, o, &q->options, &err) != 0) {
            break;
        }
        write_add(w, q->of.kind, o->ns, o->name, o);
    }
    if (err.code != 0) {
        write_refuse(w, &err);
    } else {
        write_submit(w, &q->how, &t);
    }
    txn_close(&t);
}
