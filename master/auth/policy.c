#include "master/auth/policy.h"

#include <string.h>

#include "base/mem.h"
#include "proto/facts/access.h"
#include "proto/facts/signing.h"

/* Lists of words with blanks between; "." stands for the first group. */
struct rule_row {
    const char *groups, *resources, *verbs, *paths, *names;
};
struct role_row {
    const char *name;
    const char *label;   /* aggregate-to-LABEL: the role that it is a part of; NULL: none */
    const char *gathers; /* LABEL: it is made of those; NULL: it has rules of its own */
    const struct rule_row *rules;
    unsigned count;
};

#define READ  "get list watch"
#define WRITE "create delete deletecollection patch update"

static const struct rule_row all[] = {{"*", "*", "*", NULL, NULL}, {NULL, NULL, "*", "*", NULL}};
static const struct rule_row discovery[] = {
    {NULL, NULL, "get", "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
     NULL},
    {NULL, NULL, "get", "/rpc/cluster", NULL}}; /* rctl cluster: which masters there are */
static const struct rule_row info[] = {{NULL, NULL, "get", "/healthz /livez /readyz /version /version/", NULL}};
static const struct rule_row monitoring[] = {
    {NULL, NULL, "get", "/healthz /healthz/* /livez /livez/* /metrics /metrics/* /readyz /readyz/*", NULL}};
static const struct rule_row basic[] = {
    {"authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", "create", NULL, NULL},
    {"authentication.k8s.io", "selfsubjectreviews", "create", NULL, NULL}};
static const struct rule_row delegator[] = {{"authentication.k8s.io", "tokenreviews", "create", NULL, NULL},
                                            {"authorization.k8s.io", "subjectaccessreviews", "create", NULL, NULL}};
static const struct rule_row issuer[] = {
    {NULL, NULL, "get",
     "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/", NULL}};
static const struct rule_row view[] = {
    {".",
     "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers "
     "replicationcontrollers/scale serviceaccounts services services/status",
     READ, NULL, NULL},
    {".",
     "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status "
     "resourcequotas resourcequotas/status",
     READ, NULL, NULL},
    {".", "namespaces", READ, NULL, NULL},
    {"discovery.k8s.io", "endpointslices", READ, NULL, NULL},
    {"apps",
     "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets "
     "replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
     READ, NULL, NULL},
    {"autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", READ, NULL, NULL},
    {"batch", "cronjobs cronjobs/status jobs jobs/status", READ, NULL, NULL},
    {"policy", "poddisruptionbudgets poddisruptionbudgets/status", READ, NULL, NULL},
    {"networking.k8s.io", "ingresses ingresses/status networkpolicies", READ, NULL, NULL},
    {"scheduling.k8s.io", "podgroups podgroups/status", READ, NULL, NULL},
    {"metrics.k8s.io", "pods", "get list", NULL, NULL}};
static const struct rule_row edit[] = {
    {".", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", READ, NULL, NULL},
    {".", "serviceaccounts", "impersonate", NULL, NULL},
    {".", "pods pods/attach pods/exec pods/portforward pods/proxy", WRITE, NULL, NULL},
    {".", "pods/eviction", "create", NULL, NULL},
    {".",
     "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets "
     "serviceaccounts services services/proxy",
     WRITE, NULL, NULL},
    {".", "serviceaccounts/token", "create", NULL, NULL},
    {"apps",
     "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
     "statefulsets/scale",
     WRITE, NULL, NULL},
    {"autoscaling", "horizontalpodautoscalers", WRITE, NULL, NULL},
    {"batch", "cronjobs jobs", WRITE, NULL, NULL},
    {"policy", "poddisruptionbudgets", WRITE, NULL, NULL},
    {"networking.k8s.io", "ingresses networkpolicies", WRITE, NULL, NULL},
    {"scheduling.k8s.io", "podgroups", WRITE, NULL, NULL},
    {"coordination.k8s.io", "leases", WRITE " " READ, NULL, NULL}};
static const struct rule_row admin[] = {{"authorization.k8s.io", "localsubjectaccessreviews", "create", NULL, NULL},
                                        {ACCESS_GROUP, "roles rolebindings", WRITE " " READ, NULL, NULL}};

/* Who may decide on requests for certificates of one signer each; nobody is bound to them at first. */
#define APPROVER(rows, signer)                                                                                         \
    static const struct rule_row rows[] = {{SIGNING_GROUP, "signers", "approve", NULL, signer}}
APPROVER(client_approver, SIGNER_CLIENT);
APPROVER(node_client_approver, SIGNER_NODE_CLIENT);
APPROVER(node_serving_approver, SIGNER_NODE_SERVING);
APPROVER(legacy_approver, SIGNER_LEGACY);
static const struct rule_row bootstrapper[] = {
    {SIGNING_GROUP, "certificatesigningrequests", "create get list watch", NULL, NULL}};

#define RULES(list)           list, ARRAY_SIZE(list)
#define APPROVER_ROLE(signer) "system:certificates.k8s.io:" signer "-approver"
static const struct role_row ROLES[] = {
    {"cluster-admin", NULL, NULL, RULES(all)},
    {"system:discovery", NULL, NULL, RULES(discovery)},
    {"system:public-info-viewer", NULL, NULL, RULES(info)},
    {"system:monitoring", NULL, NULL, RULES(monitoring)},
    {"system:basic-user", NULL, NULL, RULES(basic)},
    {"system:auth-delegator", NULL, NULL, RULES(delegator)},
    {"system:service-account-issuer-discovery", NULL, NULL, RULES(issuer)},
    {"system:node-bootstrapper", NULL, NULL, RULES(bootstrapper)},
    {APPROVER_ROLE("kube-apiserver-client"), NULL, NULL, RULES(client_approver)},
    {APPROVER_ROLE("kube-apiserver-client-kubelet"), NULL, NULL, RULES(node_client_approver)},
    {APPROVER_ROLE("kubelet-serving"), NULL, NULL, RULES(node_serving_approver)},
    {APPROVER_ROLE("legacy-unknown"), NULL, NULL, RULES(legacy_approver)},
    {"system:aggregate-to-view", "view", NULL, RULES(view)},
    {"system:aggregate-to-edit", "edit", NULL, RULES(edit)},
    {"system:aggregate-to-admin", "admin", NULL, RULES(admin)},
    {"view", "edit", "view", NULL, 0},
    {"edit", "admin", "edit", NULL, 0},
    {"admin", NULL, "admin", NULL, 0},
};

static const struct {
    const char *name, *role;
    const char *groups; /* with blanks between */
} BINDINGS[] = {
    {"cluster-admin", "cluster-admin", ACCESS_MASTERS},
    {"system:discovery", "system:discovery", "system:authenticated"},
    {"system:service-account-issuer-discovery", "system:service-account-issuer-discovery", "system:serviceaccounts"},
    {"system:monitoring", "system:monitoring", "system:monitoring"},
    {"system:basic-user", "system:basic-user", "system:authenticated"},
    {"system:public-info-viewer", "system:public-info-viewer", "system:authenticated system:unauthenticated"},
};

/* ---- Documents ---- */

#define LABEL_PREFIX "rbac.authorization.k8s.io/aggregate-to-"

static const char *next_word(struct arena *a, const char **words)
{
    size_t n = strcspn(*words, " ");
    const char *word = n == 0 ? NULL : arena_strndup(a, *words, n);
    *words += n + ((*words)[n] == ' ');
    return word;
}

static void set_words(struct arena *a, struct value *map, const char *key, const char *words)
{
    const char *word;
    if (words == NULL) {
        return;
    }
    struct value *list = value_ensure_list(a, map, key);
    while ((word = next_word(a, &words)) != NULL) {
        value_append(a, list, value_cstr(a, strcmp(word, ".") == 0 ? "" : word));
    }
}

static struct value *rule_value(struct arena *a, const struct rule_row *row)
{
    struct value *rule = value_map(a);
    set_words(a, rule, "verbs", row->verbs);
    set_words(a, rule, "apiGroups", row->groups);
    set_words(a, rule, "resources", row->resources);
    set_words(a, rule, "nonResourceURLs", row->paths);
    set_words(a, rule, "resourceNames", row->names);
    return rule;
}

static struct value *begin(struct arena *a, const struct kind *k, const char *name)
{
    struct value *doc = value_map(a), *metadata = value_ensure_map(a, doc, "metadata");
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, metadata, "name", value_cstr(a, name));
    value_set(a, value_ensure_map(a, metadata, "annotations"), ACCESS_AUTO_UPDATE, value_cstr(a, "true"));
    value_set(a, value_ensure_map(a, metadata, "labels"), "kubernetes.io/bootstrapping",
              value_cstr(a, "rbac-defaults"));
    return doc;
}

/* What the document has of the row; true: something was missing. */
static bool complete_role(struct arena *a, struct value *doc, const struct role_row *row)
{
    struct value *labels = value_ensure_map(a, value_ensure_map(a, doc, "metadata"), "labels");
    bool changed = false;
    const char *key = row->label == NULL ? NULL : arena_printf(a, LABEL_PREFIX "%s", row->label);
    if (key != NULL && value_get(labels, key) == NULL) {
        value_set(a, labels, key, value_cstr(a, "true"));
        changed = true;
    }
    if (row->gathers != NULL) {
        struct value *rule = value_ensure_map(a, doc, "aggregationRule");
        struct value *list = value_ensure_list(a, rule, "clusterRoleSelectors");
        struct value *selector = value_map(a);
        value_set(a, value_ensure_map(a, selector, "matchLabels"), arena_printf(a, LABEL_PREFIX "%s", row->gathers),
                  value_cstr(a, "true"));
        bool found = false;
        for (unsigned i = 0; i < value_count(list); i++) {
            found = found || value_equal(value_item(list, i), selector);
        }
        if (!found) {
            value_append(a, list, selector);
        }
        return changed || !found;
    }
    struct value *rules = value_ensure_list(a, doc, "rules");
    for (unsigned i = 0; i < row->count; i++) {
        struct value *rule = rule_value(a, &row->rules[i]);
        bool found = false;
        for (unsigned k = 0; k < value_count(rules); k++) {
            found = found || value_equal(value_item(rules, k), rule);
        }
        if (!found) {
            value_append(a, rules, rule);
            changed = true;
        }
    }
    return changed;
}

static bool complete_binding(struct arena *a, struct value *doc, const char *groups)
{
    struct value *subjects = value_ensure_list(a, doc, "subjects");
    bool changed = false;
    for (const char *group; (group = next_word(a, &groups)) != NULL;) {
        struct value *subject = value_map(a);
        value_set(a, subject, "kind", value_cstr(a, "Group"));
        value_set(a, subject, "apiGroup", value_cstr(a, ACCESS_GROUP));
        value_set(a, subject, "name", value_cstr(a, group));
        bool found = false;
        for (unsigned i = 0; i < value_count(subjects); i++) {
            found = found || value_equal(value_item(subjects, i), subject);
        }
        if (!found) {
            value_append(a, subjects, subject);
            changed = true;
        }
    }
    return changed;
}

/* ---- What is missing ---- */

static bool is_kept(const struct object *o)
{
    return !o->deleting && str_is(object_annotation(o, ACCESS_AUTO_UPDATE), "true");
}

static int reconcile_role(const struct view *v, struct arena *a, struct txn *t, const struct role_row *row,
                          struct error *err)
{
    const struct kind *k = kind_by_id(KIND_CLUSTERROLE);
    const struct object *old = view_get(v, k, STR_NONE, str_of(row->name));
    struct value *doc = old == NULL ? begin(a, k, row->name) : object_to_value(a, old);
    if (old != NULL && (!is_kept(old) || !complete_role(a, doc, row))) {
        return 0;
    }
    if (old == NULL) {
        complete_role(a, doc, row);
        return txn_create_value(t, k, doc, err);
    }
    return txn_update_value(t, k, doc, TXN_PART_ALL, old->revision, err);
}

static int reconcile_binding(const struct view *v, struct arena *a, struct txn *t, unsigned row, struct error *err)
{
    const struct kind *k = kind_by_id(KIND_CLUSTERROLEBINDING);
    const struct object *old = view_get(v, k, STR_NONE, str_of(BINDINGS[row].name));
    struct value *doc = old == NULL ? begin(a, k, BINDINGS[row].name) : object_to_value(a, old);
    bool cluster, missing = complete_binding(a, doc, BINDINGS[row].groups);
    if (old != NULL) {
        /* One that names another role now is somebody else's. */
        bool ours = is_kept(old) && str_is(access_binding_role(old, &cluster), BINDINGS[row].role);
        return ours && missing ? txn_update_value(t, k, doc, TXN_PART_ALL, old->revision, err) : 0;
    }
    struct value *ref = value_ensure_map(a, doc, "roleRef");
    value_set(a, ref, "apiGroup", value_cstr(a, ACCESS_GROUP));
    value_set(a, ref, "kind", value_cstr(a, "ClusterRole"));
    value_set(a, ref, "name", value_cstr(a, BINDINGS[row].role));
    return txn_create_value(t, k, doc, err);
}

int policy_reconcile(const struct view *v, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    int rv = 0;
    for (unsigned i = 0; rv == 0 && i < ARRAY_SIZE(ROLES); i++) {
        rv = reconcile_role(v, &a, t, &ROLES[i], err);
    }
    for (unsigned i = 0; rv == 0 && i < ARRAY_SIZE(BINDINGS); i++) {
        rv = reconcile_binding(v, &a, t, i, err);
    }
    return rv;
}
