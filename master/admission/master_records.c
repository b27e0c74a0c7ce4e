/* What masters keep of the cluster (kube-system/reeve-...: its CA, what is revoked, who its masters are) is written and
 * deleted by them and by administrators alone, whatever roles say: who writes it owns the cluster. What the cluster
 * cannot be without is deleted by nobody. */
#include "master/admission/row.h"
#include "master/auth/access.h"
#include "master/auth/account_keys.h"
#include "master/auth/authority.h"
#include "master/auth/reseal.h"
#include "master/auth/revoked.h"
#include "master/auth/rotate.h"

static bool is_record(const struct object *o)
{
    return str_is(o->ns, "kube-system") && str_starts(o->name, STR("reeve-"));
}

static int refuse(const struct object *o, struct error *err)
{
    error_set(err, ERR_FORBIDDEN,
              "%s \"%.*s\" is forbidden: names that begin with \"reeve-\" are the masters' own in kube-system; only an "
              "administrator may write them",
              o->kind->plural, STR_ARG(o->name));
    kind_error_about(err, o->kind, o->name);
    return ERR_FORBIDDEN;
}

static int check(const struct admission *ad, const struct admission_change *c, struct error *err)
{
    return ad->who == NULL || access_is_master(ad->who) || !is_record(c->now) ? 0 : refuse(c->now, err);
}

static int remove_one(const struct view *tip, const struct principal *who, const struct object *o, struct error *err)
{
    (void)tip;
    if (is_record(o) && who != NULL && !access_is_master(who)) {
        return refuse(o, err);
    }
    bool needed = revoked_is_list(o) || rotate_is_record(o) || reseal_is_record(o) || authority_is_secret(o) ||
                  account_keys_is_record(o);
    return needed ? admission_is_needed(o, err) : 0;
}

const struct admission_row admission_master_records = {
    .name = "MasterRecords",
    .kinds = {KIND_CONFIGMAP, KIND_SECRET},
    .kinds_told = "configmaps, secrets kube-system/reeve-...",
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE,
    .help = "What masters keep of the cluster is written and deleted by administrators alone.",
    .check = check,
    .remove = remove_one,
};
