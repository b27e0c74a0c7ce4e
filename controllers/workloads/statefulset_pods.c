/* What a StatefulSet makes: pods with a name and claims with the pod's. */
#include <assert.h>

#include "controllers/accounts.h"
#include "controllers/workloads/pods.h"
#include "controllers/workloads/room.h"
#include "controllers/workloads/statefulset.h"

#define ORDINAL_DIGITS 10u
#define LABEL_MAX      63u /* characters of a label's value */

int64_t sts_ordinal(const struct object *set, struct str pod_name)
{
    size_t prefix = set->name.n + 1;
    int64_t n = 0;
    if (pod_name.n <= prefix || pod_name.n > prefix + ORDINAL_DIGITS || pod_name.p[prefix - 1] != '-' ||
        memcmp(pod_name.p, set->name.p, set->name.n) != 0) {
        return -1;
    }
    for (size_t i = prefix; i < pod_name.n; i++) {
        if (pod_name.p[i] < '0' || pod_name.p[i] > '9') {
            return -1;
        }
        n = n * 10 + (pod_name.p[i] - '0');
    }
    return pod_name.p[prefix] == '0' && pod_name.n > prefix + 1 ? -1 : n;
}

bool sts_may_own_claim(const struct object *set, struct str claim_name)
{
    for (size_t i = 0; i + 1 < claim_name.n; i++) {
        if (claim_name.p[i] == '-' && sts_ordinal(set, (struct str){claim_name.p + i + 1, claim_name.n - i - 1}) >= 0) {
            return true;
        }
    }
    return false;
}

/* ---- Claims ---- */

static const struct value *claim_templates(const struct sts *s)
{
    return value_path(s->doc, "spec.volumeClaimTemplates");
}

static struct str claim_name(const struct sts *s, const struct value *template, struct str pod_name)
{
    struct str name = value_path_str(template, "metadata.name");
    return str_of(arena_printf(s->a, "%.*s-%.*s", STR_ARG(name), STR_ARG(pod_name)));
}

static const struct object *claim_get(const struct sts *s, struct str name)
{
    return view_get(s->in->view, kind_of(KIND_PERSISTENTVOLUMECLAIM), s->obj->ns, name);
}

static struct value *claim_made(struct sts *s, const struct value *template, struct str name)
{
    struct arena *a = s->a;
    struct value *doc = claim_document(a, template, s->obj->ns, name);
    const struct value *own = value_path(s->doc, "spec.selector.matchLabels");
    for (unsigned i = 0; i < value_count(own); i++) {
        value_set_str_key(a, value_ensure_map(a, value_get(doc, "metadata"), "labels"), own->map.members[i].key,
                          value_copy(a, own->map.members[i].value));
    }
    if (s->when_deleted) {
        owner_add(a, doc, s->obj);
    }
    return doc;
}

static int claim_create(struct sts *s, const struct value *template, struct str name, struct str pod_name,
                        struct error *err)
{
    controller_event(s->out, s->in, s->obj, "Normal", "SuccessfulCreate", STATEFULSET_COMPONENT,
                     "create Claim %.*s Pod %.*s in StatefulSet %.*s success", STR_ARG(name), STR_ARG(pod_name),
                     STR_ARG(s->obj->name));
    return txn_create_value(s->out->txn, kind_of(KIND_PERSISTENTVOLUMECLAIM), claim_made(s, template, name), err);
}

static bool has_owner(const struct object *o, struct str uid)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.ownerReferences")); mp_next(&it);) {
        if (str_eq(mp_str(mp_get(it.value, "uid")), uid)) {
            return true;
        }
    }
    return false;
}

/* The references that make the garbage collector delete a claim: to the set, or to the pod that goes. */
static int claim_own(struct sts *s, const struct object *claim, const struct object *pod, bool condemned,
                     struct error *err)
{
    const struct {
        const struct object *owner;
        bool wanted;
    } rows[] = {{s->obj, s->when_deleted && !(condemned && s->when_scaled)}, {pod, condemned && s->when_scaled}};
    struct value *doc = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (has_owner(claim, rows[i].owner->uid) == rows[i].wanted) {
            continue;
        }
        doc = doc != NULL ? doc : object_to_value(s->a, claim);
        if (rows[i].wanted) {
            owner_add(s->a, doc, rows[i].owner);
        } else {
            owner_remove(doc, rows[i].owner->uid);
        }
    }
    return doc == NULL ? 0 : txn_update_value(s->out->txn, claim->kind, doc, TXN_PART_ALL, claim->revision, err);
}

int sts_keep_claims(struct sts *s, const struct object *pod, bool condemned, struct error *err)
{
    const struct value *templates = claim_templates(s);
    int rv = 0;
    VALUE_FOR(i, templates)
    {
        const struct value *template = value_item(templates, i);
        struct str name = claim_name(s, template, pod->name);
        const struct object *claim = claim_get(s, name);
        if (rv != 0 || (claim != NULL && claim->deleting)) {
            continue;
        }
        if (claim != NULL) {
            rv = claim_own(s, claim, pod, condemned, err);
        } else if (!condemned && !pod->deleting && !pod_state_of(pod).bound) {
            rv = claim_create(s, template, name, pod->name, err);
        }
    }
    return rv;
}

/* ---- Pods ---- */

static void set_volumes(struct sts *s, struct value *pod_spec, struct str pod_name)
{
    struct arena *a = s->a;
    const struct value *templates = claim_templates(s);
    struct value *volumes = value_count(templates) == 0 ? NULL : value_ensure_list(a, pod_spec, "volumes");
    VALUE_FOR(i, templates)
    {
        struct str name = value_path_str(value_item(templates, i), "metadata.name");
        for (unsigned k = value_count(volumes); k-- > 0;) { /* the claim takes the place of a volume of its name */
            if (str_eq(value_path_str(value_item(volumes, k), "name"), name)) {
                value_remove_at(volumes, k);
            }
        }
        struct value *volume = value_map(a), *source = value_map(a);
        value_set(a, source, "claimName", value_str(a, claim_name(s, value_item(templates, i), pod_name)));
        value_set(a, volume, "name", value_str(a, name));
        value_set(a, volume, "persistentVolumeClaim", source);
        value_append(a, volumes, volume);
    }
}

static struct str pod_name(const struct sts *s, int64_t ordinal)
{
    return str_of(arena_printf(s->a, "%.*s-%lld", STR_ARG(s->obj->name), (long long)ordinal));
}

/* The revision that a pod of this ordinal is to be of. */
static struct str revision_of(const struct sts *s, int64_t ordinal)
{
    return s->rolling && ordinal < s->start + s->partition ? s->current : s->update;
}

static const struct value *template_of(const struct sts *s, struct str revision)
{
    const struct object *o = str_eq(revision, s->update) ? NULL : revisions_find(&s->revisions, revision);
    const struct value *old = o == NULL ? NULL : revision_template(s->a, o);
    return old != NULL ? old : value_path(s->doc, "spec.template");
}

static struct value *pod_document(struct sts *s, int64_t ordinal, struct str name)
{
    struct arena *a = s->a;
    struct str revision = revision_of(s, ordinal), service = value_path_str(s->doc, "spec.serviceName");
    struct value *pod = pod_from_template(a, s->obj, template_of(s, revision));
    struct value *meta = value_get(pod, "metadata"), *spec = value_get(pod, "spec");
    struct value *labels = value_ensure_map(a, meta, "labels");
    value_remove(meta, "generateName");
    value_set(a, meta, "name", value_str(a, name));
    value_set(a, labels, STATEFULSET_POD_LABEL, value_str(a, name));
    value_set(a, labels, STATEFULSET_INDEX, value_cstr(a, arena_printf(a, "%lld", (long long)ordinal)));
    value_set(a, labels, REVISION_HASH_LABEL, value_str(a, revision));
    value_set(a, spec, "hostname", value_str(a, name));
    if (service.n > 0) {
        value_set(a, spec, "subdomain", value_str(a, service));
    }
    set_volumes(s, spec, name);
    kind_add_undone_condition(kind_of(KIND_POD), a, pod, s->in->wall_ms);
    return pod;
}

static void cannot(struct sts *s, struct str name, const char *why)
{
    controller_event(s->out, s->in, s->obj, "Warning", "FailedCreate", STATEFULSET_COMPONENT,
                     "create Pod %.*s in StatefulSet %.*s failed: %s", STR_ARG(name), STR_ARG(s->obj->name), why);
}

/* The names of a pod and of its revision are labels of the pod. Claims have the longer names. */
bool sts_may_name_pod(struct sts *s, int64_t ordinal)
{
    struct str name = pod_name(s, ordinal), revision = revision_of(s, ordinal);
    size_t longest = MAX(name.n, revision.n);
    if (longest > LABEL_MAX) {
        cannot(s, name,
               arena_printf(s->a,
                            "the name of the pod or of its revision would have %zu characters, and at most %u are "
                            "allowed for a label; give the StatefulSet a shorter name",
                            longest, LABEL_MAX));
        return false;
    }
    return true;
}

/* Those of this reconcile are alike, so far as anything counts them. With more than one claim of a pod the sums are the
 * evaluation's matter: then one pod at a time. */
static bool has_room(struct sts *s, struct str name, const struct value *pod)
{
    const struct view *v = s->in->view;
    const struct value *templates = claim_templates(s);
    struct error why = {0};
    if (view_count(v, kind_of(KIND_RESOURCEQUOTA)) == 0 && view_count(v, kind_of(KIND_LIMITRANGE)) == 0) {
        return true;
    }
    if (s->created > 0 && value_count(templates) > 1) {
        s->refused = true;
        requeue_in(s->out, 1);
        return false;
    }
    bool room = room_for(s->in, s->out, KIND_POD, pod, s->created + 1, &why) > s->created;
    VALUE_FOR(i, templates)
    {
        const struct value *template = value_item(templates, i);
        if (room && claim_get(s, claim_name(s, template, name)) == NULL) {
            struct value *claim = claim_made(s, template, claim_name(s, template, name));
            room = room_for(s->in, s->out, KIND_PERSISTENTVOLUMECLAIM, claim, s->created + 1, &why) > s->created;
        }
    }
    if (!room) {
        s->refused = true;
        room_refused(s->in, s->out, s->obj, STATEFULSET_COMPONENT, 0,
                     arena_printf(s->a, "create Pod %.*s in StatefulSet %.*s failed error: %s", STR_ARG(name),
                                  STR_ARG(s->obj->name), why.message));
    }
    return room;
}

bool sts_create_pod(struct sts *s, int64_t ordinal, int *rv, struct error *err)
{
    struct str name = pod_name(s, ordinal);
    const struct value *templates = claim_templates(s);
    *rv = 0;
    if (!pods_have_classes(s->in, s->out, s->obj, template_of(s, revision_of(s, ordinal)), STATEFULSET_COMPONENT)) {
        return false;
    }
    if (view_get(s->in->view, kind_of(KIND_POD), s->obj->ns, name) != NULL) {
        cannot(s, name, "a pod of that name is there that is not the set's");
        return false;
    }
    VALUE_FOR(i, templates)
    {
        struct str claim = claim_name(s, value_item(templates, i), name);
        const struct object *there = claim_get(s, claim);
        if (there != NULL && there->deleting) {
            cannot(s, name, arena_printf(s->a, "its claim %.*s is being deleted", STR_ARG(claim)));
            return false;
        }
    }
    struct value *pod = pod_document(s, ordinal, name);
    accounts_give_pod(s->in->view, s->a, pod);
    *rv = pods_give_classes(s->in->view, s->a, pod, err);
    if (*rv != 0 || !has_room(s, name, pod)) {
        return false;
    }
    VALUE_FOR(i, templates)
    {
        struct str claim = claim_name(s, value_item(templates, i), name);
        if (*rv == 0 && claim_get(s, claim) == NULL) {
            *rv = claim_create(s, value_item(templates, i), claim, name, err);
        }
    }
    if (*rv == 0) {
        *rv = txn_create_value(s->out->txn, kind_of(KIND_POD), pod, err);
        s->created++;
        controller_event(s->out, s->in, s->obj, "Normal", "SuccessfulCreate", STATEFULSET_COMPONENT,
                         "create Pod %.*s in StatefulSet %.*s successful", STR_ARG(name), STR_ARG(s->obj->name));
    }
    return *rv == 0;
}
