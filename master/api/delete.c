/* delete and deletecollection: the rules of grace, finalizers and propagation are controllers/deletion.h's. */
#include <assert.h>

#include "controllers/deletion.h"
#include "master/api/admission.h"
#include "master/api/verbs.h"
#include "master/api/write.h"
#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/front/call.h"
#include "proto/schema/selector.h"

static bool options_of(struct call *c, struct deletion_options *o)
{
    struct str policy, uid;
    if (!call_str(c, "propagationPolicy", &policy, false) || !call_str(c, "uid", &uid, false)) {
        return false;
    }
    int p = deletion_policy_parse(policy);
    if (p < 0) {
        call_failf(c, ERR_USAGE, "delete: unknown propagationPolicy \"%.*s\"; known are Background, Foreground, Orphan",
                   STR_ARG(policy));
        return false;
    }
    *o = (struct deletion_options){
        .grace_s = mp_int(call_param(c, "gracePeriodSeconds"), -1),
        .policy = (enum deletion_policy)p,
        .if_uid = uid,
        .if_revision = (uint64_t)mp_int(call_param(c, "revision"), 0),
    };
    if (o->grace_s < -1) {
        call_failf(c, ERR_USAGE, "delete: gracePeriodSeconds must not be negative");
        return false;
    }
    return true;
}

/* Namespaces that the cluster itself lives in, its list of revoked certificates and the record of its CA. */
static bool is_protected(const struct object *o)
{
    return (o->kind->id == KIND_NAMESPACE && (str_is(o->name, "default") || str_is(o->name, "kube-system"))) ||
           revoked_is_list(o) || rotate_is_record(o);
}

void method_delete(struct call *c)
{
    const struct kind *k;
    struct str ns, name;
    struct deletion_options options;
    if (!call_kind(c, &k, &ns, false) || !call_str(c, "name", &name, true) || !options_of(c, &options)) {
        return;
    }
    struct txn t;
    txn_init(&t, "api");
    if (!call_txn_id(c, &t)) {
        txn_close(&t);
        return;
    }
    struct error err = {0};
    const struct object *o = view_get(store_tip(replica_store(c->m->replica)), k, ns, name);
    bool repeat = call_repeats(c, &t);
    if (!repeat && o != NULL && is_protected(o)) {
        error_set(&err, ERR_FORBIDDEN, "%s \"%.*s\" can't be deleted: the cluster needs it", k->singular,
                  STR_ARG(name));
    } else if (!repeat && o != NULL &&
               admit_cluster_config_delete(store_tip(replica_store(c->m->replica)), o, &err) == 0) {
        deletion_request(&t, &c->arena, o, &options, env_wall_ms(c->m->env), &err);
    }
    if (!repeat && o == NULL) {
        call_refuse_not_found(c, k, name);
    } else if (err.code != 0) {
        call_refuse(c, &err);
    } else {
        struct write *w = write_new(c, WRITE_DELETE);
        write_add(w, k, ns, name, NULL);
        write_submit(w, &t);
    }
    txn_close(&t);
}

void method_deletecollection(struct call *c)
{
    const struct kind *k;
    struct str ns, labels_text, fields_text;
    struct deletion_options options;
    struct error err = {0};
    struct selector *labels = NULL, *fields = NULL;
    if (!call_kind(c, &k, &ns, true) || !options_of(c, &options) ||
        !call_str(c, "labelSelector", &labels_text, false) || !call_str(c, "fieldSelector", &fields_text, false)) {
        return;
    }
    if ((labels_text.n > 0 && selector_parse(&c->arena, labels_text, &labels, &err) != 0) ||
        (fields_text.n > 0 && field_selector_parse(&c->arena, k, fields_text, &fields, &err) != 0)) {
        call_fail(c, &err);
        return;
    }
    struct txn t;
    txn_init(&t, "api");
    if (!call_txn_id(c, &t)) {
        txn_close(&t);
        return;
    }
    struct write *w = write_new(c, WRITE_COUNT);
    struct view_iter it;
    view_iter(&it, store_tip(replica_store(c->m->replica)), k, ns);
    bool repeat = call_repeats(c, &t);
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
        if (deletion_request(&t, &c->arena, o, &options, env_wall_ms(c->m->env), &err) != 0) {
            break;
        }
        write_add(w, k, o->ns, o->name, NULL);
    }
    if (err.code != 0) {
        write_refuse(w, &err);
    } else {
        write_submit(w, &t);
    }
    txn_close(&t);
}
