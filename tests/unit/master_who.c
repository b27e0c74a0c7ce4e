/* Users with certificates of their own, whom roles give what they may: three masters, each of which is asked, and each
 * of which knows at once what was given and taken away. */
#include "tests/unit/kit/master_kit.h"

#define MASTERS 3

static int set_up(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

struct user {
    struct kit *kit;
    struct net_tls *tls;
    struct client *at[MASTERS];
};

/* As `rctl user add` does it. groups: "dev, ops" or "". */
static void user_new(struct kit *k, struct user *u, const char *name, const char *groups)
{
    struct client *admin = client_admin(k, 0);
    struct pki_identity who = {.role = PKI_ROLE_USER};
    char *csr, *key;
    struct error err = {0};
    *u = (struct user){.kit = k};
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_make_request(&who, &csr, &key, &err), 0);
    struct value *params = kit_doc(k, "{name: %s, groups: [%s]}", name, groups);
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    must_value(admin, "user", params);
    assert_int_equal(net_tls_new(text_at(admin, "ca"), text_at(admin, "certificate"), key, NULL, &u->tls, &err), 0);
    for (unsigned i = 0; i < MASTERS; i++) {
        u->at[i] = client_with(k, i, u->tls);
    }
    client_close(admin);
    free(csr);
    pki_free_key(key);
}

static void user_close(struct user *u)
{
    for (unsigned i = 0; i < MASTERS; i++) {
        client_close(u->at[i]);
    }
    net_tls_unref(u->tls);
}

static void apply(struct client *c, const char *yaml)
{
    must(c, "apply", "{objects: [%s]}", yaml);
}

/* [6 certificate] [6 forbidden] [6 role-binding] */
static void test_a_user_may_what_roles_give_at_once_on_all_masters(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user kate;
    user_new(k, &kate, "kate", "dev, ops");
    must(kate.at[1], "whoami", "{}");
    assert_string_equal(text_at(kate.at[1], "user"), "kate");
    assert_int_equal(value_count(value_get(kate.at[1]->result, "groups")), 3);
    for (unsigned i = 0; i < MASTERS; i++) {
        refused(kate.at[i], ERR_FORBIDDEN,
                "pods is forbidden: User \"kate\" cannot list resource \"pods\" in API group \"\" in the namespace "
                "\"default\"",
                "list", "{kind: Pod, namespace: default}");
        refused(kate.at[i], ERR_FORBIDDEN, "configmaps is forbidden: User \"kate\" cannot create resource", "create",
                "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}}");
    }
    for (unsigned round = 0; round < 3; round++) {
        apply(admin, "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: dev}, "
                     "roleRef: {kind: ClusterRole, name: edit}, subjects: [{kind: Group, name: dev}]}");
        for (unsigned i = 0; i < MASTERS; i++) {
            must(kate.at[i], "list", "{kind: Pod, namespace: default}");
            refused(kate.at[i], ERR_FORBIDDEN, "at the cluster scope", "list", "{kind: Pod}");
            apply(kate.at[i], "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: one}}");
        }
        must(admin, "delete", "{kind: RoleBinding, name: dev}");
        for (unsigned i = 0; i < MASTERS; i++) {
            refused(kate.at[i], ERR_FORBIDDEN, "cannot list", "list", "{kind: Pod, namespace: default}");
            refused(kate.at[i], ERR_FORBIDDEN, "configmaps \"a\" is forbidden: User \"kate\" cannot patch", "apply",
                    "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: two}}]}");
        }
    }
    user_close(&kate);
    client_close(admin);
}

/* [6 escalation] */
static void test_nobody_gives_more_than_he_has(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user lea;
    user_new(k, &lea, "lea", "");
    apply(admin, "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: lea}, "
                 "roleRef: {kind: ClusterRole, name: admin}, subjects: [{kind: User, name: lea}]}");
    struct client *c = lea.at[2];
    must(c, "create",
         "{object: {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r}, "
         "rules: [{verbs: [get], apiGroups: [''], resources: [secrets]}]}}");
    must(c, "create",
         "{object: {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b}, "
         "roleRef: {kind: ClusterRole, name: edit}, subjects: [{kind: User, name: tom}]}}");
    refused(
        c, ERR_FORBIDDEN,
        "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"lea\" (groups=[\"system:authenticated\"]) is "
        "attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], "
        "Verbs:[\"get\"]}",
        "create",
        "{object: {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: more}, "
        "rules: [{verbs: [get], apiGroups: [''], resources: [pods, nodes]}]}}");
    refused(c, ERR_FORBIDDEN, "not currently held", "patch",
            "{kind: Role, name: r, type: merge, patch: {rules: [{verbs: ['*'], apiGroups: [''], resources: [pods]}]}}");
    refused(c, ERR_FORBIDDEN, "not currently held", "apply",
            "{objects: [{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: c}, "
            "roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: User, name: lea}]}]}");
    refused(c, ERR_FORBIDDEN, "clusterrolebindings.rbac.authorization.k8s.io is forbidden: User \"lea\" cannot create",
            "create",
            "{object: {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: c}, "
            "roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: User, name: lea}]}}");
    /* What somebody may bind or escalate he need not hold. */
    apply(admin, "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: binder}, rules: [{verbs: "
                 "[bind], apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: "
                 "[cluster-admin]}, {verbs: [escalate], apiGroups: [rbac.authorization.k8s.io], resources: [roles], "
                 "resourceNames: [r]}]}, "
                 "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: binder}, "
                 "roleRef: {kind: Role, name: binder}, subjects: [{kind: User, name: lea}]}");
    must(c, "create",
         "{object: {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: c}, "
         "roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: User, name: tom}]}}");
    must(c, "patch",
         "{kind: Role, name: r, type: merge, patch: {rules: [{verbs: ['*'], apiGroups: [''], resources: [pods]}]}}");
    user_close(&lea);
    client_close(admin);
}

/* Rights to write some objects are no way to what masters keep in such objects, to the rest of an object of which a
 * part may be written, or to rules that a role gathers by labels. */
static void test_rights_lead_no_further_than_they_say(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user eve;
    user_new(k, &eve, "eve", "");
    struct client *c = eve.at[0];
    apply(admin,
          "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: eve}, rules: [{verbs: "
          "['*'], apiGroups: [''], resources: [configmaps, secrets]}, {verbs: [update, patch], apiGroups: [apps], "
          "resources: [deployments/scale]}, {verbs: [get, patch], apiGroups: [rbac.authorization.k8s.io], "
          "resources: [clusterroles]}]}, "
          "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: eve}, "
          "roleRef: {kind: ClusterRole, name: eve}, subjects: [{kind: User, name: eve}]}, "
          "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 0, selector: "
          "{matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: "
          "i}]}}}}");
    static const char own[] = "are the masters' own in kube-system";
    static const char *const names[] = {"reeve-ca", "reeve-revoked", "reeve-masters", "reeve-anything"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        refused(c, ERR_FORBIDDEN, own, "apply",
                "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: kube-system}, data: "
                "{phase: trust}}]}",
                names[i]);
        refused(c, ERR_FORBIDDEN, own, "apply",
                "{objects: [{apiVersion: v1, kind: Secret, metadata: {name: %s, namespace: kube-system}}]}", names[i]);
    }
    must(admin, "apply",
         "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: reeve-x, namespace: "
         "kube-system}, data: {a: b}}]}");
    refused(c, ERR_FORBIDDEN, own, "delete", "{kind: ConfigMap, namespace: kube-system, name: reeve-x}");
    refused(c, ERR_FORBIDDEN, own, "txn",
            "{ops: [{op: delete, kind: ConfigMap, namespace: kube-system, name: reeve-x}]}");
    must(c, "deletecollection", "{kind: ConfigMap, namespace: kube-system}");
    must(admin, "delete", "{kind: ConfigMap, namespace: kube-system, name: reeve-x}");
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: reeve-ca}}}"); /* its own */
    refused(admin, ERR_FORBIDDEN, "the cluster needs it", "txn",
            "{ops: [{op: delete, kind: Secret, namespace: kube-system, name: reeve-ca}]}");

    must(c, "update",
         "{part: scale, object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {x: y}}, spec: "
         "{replicas: 2, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {hostNetwork: "
         "true, containers: [{name: c, image: other}]}}}}}");
    must(admin, "get", "{kind: Deployment, name: web}");
    assert_int_equal(int_at(admin, "object.spec.replicas"), 2);
    assert_null(value_path(admin->result, "object.metadata.labels"));
    assert_null(value_path(admin->result, "object.spec.template.spec.hostNetwork"));

    refused(c, ERR_FORBIDDEN, "not currently held", "patch",
            "{kind: ClusterRole, name: cluster-admin, type: merge, patch: {metadata: {labels: "
            "{rbac.authorization.k8s.io/aggregate-to-view: 'true'}}}}");
    must(c, "patch",
         "{kind: ClusterRole, name: cluster-admin, type: merge, patch: {metadata: {annotations: {note: seen}}}}");
    user_close(&eve);
    client_close(admin);
}

/* Through every master, whichever leads, and judged where the request is decided. */
static void test_who_may_impersonate_asks_as_somebody_else(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user ida;
    user_new(k, &ida, "ida", "");
    apply(admin, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: ida}, rules: [{verbs: "
                 "[impersonate], apiGroups: [''], resources: [users], resourceNames: [jon]}]}, "
                 "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: ida}, "
                 "roleRef: {kind: ClusterRole, name: ida}, subjects: [{kind: User, name: ida}]}, "
                 "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: jon}, "
                 "roleRef: {kind: ClusterRole, name: edit}, subjects: [{kind: User, name: jon}]}");
    for (unsigned i = 0; i < MASTERS; i++) {
        struct client *c = ida.at[i];
        refused(c, ERR_FORBIDDEN, "User \"ida\" cannot list", "list", "{kind: Pod, namespace: default}");
        must(c, "list", "{kind: Pod, namespace: default, as: {user: jon}}");
        must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: by-jon-%u}}, as: {user: jon}}",
             i);
        must(c, "whoami", "{as: {user: jon}}");
        assert_string_equal(text_at(c, "user"), "jon");
        assert_string_equal(text_at(c, "by"), "ida");
        refused(c, ERR_FORBIDDEN, "User \"jon\" cannot list", "list", "{kind: Node, as: {user: jon}}");
        refused(c, ERR_FORBIDDEN, "User \"ida\" cannot impersonate resource \"users\"", "create",
                "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}, as: {user: admin}}");
        refused(c, ERR_FORBIDDEN, "cannot impersonate resource \"groups\"", "list",
                "{kind: Pod, as: {user: jon, groups: ['system:masters']}}");
        /* What is about a certificate is asked by its owner alone. */
        refused(c, ERR_FORBIDDEN, "cannot be asked as somebody else", "cert.renew", "{csr: x, as: {user: jon}}");
        refused(c, ERR_FORBIDDEN, "cannot be asked as somebody else", "user", "{csr: x, name: y, as: {user: jon}}");
        refused(c, ERR_USAGE, "without a user", "list", "{kind: Pod, as: {groups: [dev]}}");
        refused(c, ERR_USAGE, "as: must be", "list", "{kind: Pod, as: jon}");
        /* Paths, and an administrator who is no administrator meanwhile. */
        refused(admin, ERR_FORBIDDEN, "User \"jon\" cannot post path \"/rpc/token\"", "token",
                "{role: node, as: {user: jon}}");
        refused(admin, ERR_FORBIDDEN, "User \"jon\" cannot", "backup", "{as: {user: jon}}");
    }
    must(admin, "delete", "{kind: ClusterRoleBinding, name: ida}");
    for (unsigned i = 0; i < MASTERS; i++) {
        refused(ida.at[i], ERR_FORBIDDEN, "User \"ida\" cannot impersonate", "list",
                "{kind: Pod, namespace: default, as: {user: jon}}");
    }
    user_close(&ida);
    client_close(admin);
}

/* A watch ends when the right to it is taken away, whether it has something to tell or not; others go on. */
static void test_a_watch_ends_with_the_right_to_it(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user wim;
    user_new(k, &wim, "wim", "");
    for (unsigned i = 0; i < MASTERS; i++) {
        apply(admin,
              "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: wim}, rules: [{verbs: [watch], "
              "apiGroups: [''], resources: [secrets, configmaps]}]}, "
              "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: wim}, "
              "roleRef: {kind: Role, name: wim}, subjects: [{kind: User, name: wim}]}");
        struct stream *secrets = stream_open(wim.at[i], "watch", "{kind: Secret, namespace: default}");
        struct stream *maps = stream_open(wim.at[i], "watch", "{kind: ConfigMap, namespace: default}");
        assert_non_null(stream_next(secrets));
        assert_non_null(stream_next(maps));
        must(admin, "txn",
             "{ops: [{op: update, object: {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: wim, "
             "namespace: default}, rules: [{verbs: [watch], apiGroups: [''], resources: [configmaps]}]}}, {op: create, "
             "object: {apiVersion: v1, kind: Secret, metadata: {name: unseen-%u}, data: {a: Yg==}}}]}",
             i);
        stream_wait_end(secrets);
        assert_int_equal(secrets->end.code, ERR_FORBIDDEN);
        assert_non_null(strstr(secrets->end.message, "User \"wim\" cannot watch resource \"secrets\""));
        for (unsigned n = 0; n < secrets->count; n++) {
            CLEANUP_BUF struct buf text = BUF_INIT;
            json_write(&text, secrets->items[n], 0);
            assert_null(strstr(buf_cstr(&text), arena_printf(&k->arena, "unseen-%u", i)));
        }
        apply(admin, "{apiVersion: v1, kind: ConfigMap, metadata: {name: seen}, data: {a: b}}");
        assert_non_null(stream_next(maps));
        must(admin, "delete", "{kind: RoleBinding, name: wim}");
        stream_wait_end(maps);
        assert_int_equal(maps->end.code, ERR_FORBIDDEN);
        stream_close(secrets);
        stream_close(maps);
        must(admin, "delete", "{kind: ConfigMap, name: seen}");
    }
    user_close(&wim);
    client_close(admin);
}

/* [6 names] Roles that name objects give these and no others; who creates has no name yet. */
static void test_names_in_rules_are_those_alone(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user nan;
    user_new(k, &nan, "nan", "");
    struct client *c = nan.at[1];
    apply(admin,
          "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: nan}, rules: [{verbs: ['*'], "
          "apiGroups: [''], resources: [configmaps], resourceNames: [mine]}]}, "
          "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: nan}, "
          "roleRef: {kind: Role, name: nan}, subjects: [{kind: User, name: nan}]}, "
          "{apiVersion: v1, kind: ConfigMap, metadata: {name: mine}}, {apiVersion: v1, kind: ConfigMap, metadata: "
          "{name: other}}");
    static const char *const allowed[][2] = {
        {"get", "{kind: ConfigMap, name: mine}"},
        {"list", "{kind: ConfigMap, namespace: default, fieldSelector: metadata.name=mine}"},
        {"patch", "{kind: ConfigMap, name: mine, type: merge, patch: {data: {a: b}}}"},
        {"apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: mine}, data: {a: c}}]}"},
        {"update", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: mine}, data: {a: d}}}"},
        {"deletecollection", "{kind: ConfigMap, namespace: default, fieldSelector: metadata.name=mine}"},
    };
    static const char *const denied[][2] = {
        {"get", "{kind: ConfigMap, name: other}"},
        {"list", "{kind: ConfigMap, namespace: default}"},
        {"list", "{kind: ConfigMap, namespace: default, fieldSelector: metadata.name!=other}"},
        {"list", "{kind: ConfigMap, fieldSelector: metadata.name=mine}"},
        {"patch", "{kind: ConfigMap, name: other, type: merge, patch: {data: {a: b}}}"},
        {"apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: other}, data: {a: c}}]}"},
        {"update", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: other}, data: {a: d}}}"},
        {"create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: mine}}}"},
        {"apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: mine}}]}"}, /* it is gone: created */
        {"delete", "{kind: ConfigMap, name: other}"},
        {"deletecollection", "{kind: ConfigMap, namespace: default}"},
        {"txn", "{ops: [{op: check, kind: ConfigMap, name: mine}, {op: delete, kind: ConfigMap, name: other}]}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        must(c, allowed[i][0], "%s", allowed[i][1]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(denied); i++) {
        refused(c, ERR_FORBIDDEN, "is forbidden: User \"nan\" cannot", denied[i][0], "%s", denied[i][1]);
    }
    user_close(&nan);
    client_close(admin);
}

/* Whether an object is there is told to nobody who may not change it. */
static void test_apply_tells_nobody_what_is_there(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user max;
    user_new(k, &max, "max", "");
    apply(admin, "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: max}, rules: [{verbs: "
                 "[create], apiGroups: [''], resources: [configmaps]}]}, "
                 "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: max}, "
                 "roleRef: {kind: Role, name: max}, subjects: [{kind: User, name: max}]}, "
                 "{apiVersion: v1, kind: ConfigMap, metadata: {name: here}}");
    static const char *const names[] = {"here", "not-here"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        refused(max.at[0], ERR_FORBIDDEN, "is forbidden: User \"max\" cannot patch resource \"configmaps\"", "apply",
                "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {a: b}}]}", names[i]);
    }
    must(max.at[0], "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: not-here}}}");
    user_close(&max);
    client_close(admin);
}

/* [6 parts] */
static void test_a_right_to_a_part_gives_no_object(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user pat;
    user_new(k, &pat, "pat", "");
    apply(admin, "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: pat}, rules: [{verbs: "
                 "[get], apiGroups: ['*'], resources: ['*/scale', '*/status']}]}, "
                 "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: pat}, "
                 "roleRef: {kind: Role, name: pat}, subjects: [{kind: User, name: pat}]}, "
                 "{apiVersion: v1, kind: Secret, metadata: {name: own}, stringData: {p: hidden}}, "
                 "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: own}, spec: {replicas: 0, selector: "
                 "{matchLabels: {a: own}}, template: {metadata: {labels: {a: own}}, spec: {containers: [{name: c, "
                 "image: x}]}}}}");
    for (unsigned i = 0; i < 3; i++) {
        struct client *c = pat.at[i];
        refused(c, ERR_NOT_FOUND, "have no part", "get", "{kind: Secret, namespace: default, name: own, part: scale}");
        refused(c, ERR_NOT_FOUND, "have no part", "get", "{kind: Secret, namespace: default, name: own, part: status}");
        refused(c, ERR_FORBIDDEN, "cannot get", "get",
                "{kind: ReplicaSet, namespace: default, name: own, part: scale}");
        must(c, "get", "{kind: ReplicaSet, namespace: default, name: own, part: status}");
    }
    user_close(&pat);
    client_close(admin);
}

/* Every request is refused to somebody without any role, but for what everybody may. */
static void test_without_a_role_nothing_may_be_asked(void **state)
{
    static const struct {
        const char *method, *params;
    } rows[] = {
        {"get", "{kind: Pod, name: x}"},
        {"list", "{kind: Secret}"},
        {"create", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: x}}}"},
        {"update", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}}"},
        {"patch", "{kind: Node, name: n1, type: merge, patch: {}}"},
        {"apply", "{objects: [{apiVersion: v1, kind: Namespace, metadata: {name: x}}]}"},
        {"delete", "{kind: Namespace, name: kube-public}"},
        {"deletecollection", "{kind: Pod}"},
        {"evict", "{name: x}"},
        {"bind", "{name: x, node: n1}"},
        {"txn", "{ops: [{op: check, kind: Secret, name: x, absent: true}]}"},
        {"metrics", "{kind: Node}"},
        {"images", "{node: n1}"},
        {"imageremove", "{node: n1, name: x}"},
        {"admission", "{}"},
        {"metrics.text", "{}"},
        {"cert.status", "{}"},
        {"cert.reseal", "{}"},
        {"cert.resealing", "{}"},
        {"cert.revoke", "{name: admin}"},
        {"cert.revoked", "{}"},
        {"cert.rotate", "{}"},
        {"cert.rotation", "{}"},
        {"token", "{role: node}"},
        {"master.remove", "{id: 3}"},
        {"master.transfer", "{}"},
        {"node.register", "{node: {}}"},
        {"node.status", "{name: n1, pods: []}"},
        {"node.events", "{name: n1, events: []}"},
        {"node.usage", "{name: n1}"},
        {"user", "{csr: x, name: tom}"},
        {"access", "{verb: get, resource: pods, user: tom}"},
    };
    static const struct {
        const char *method, *params, *words;
    } streams[] = {
        {"watch", "{kind: Pod, namespace: default}", "pods is forbidden: User \"zoe\" cannot watch resource \"pods\""},
        {"logs", "{namespace: shop, name: x}",
         "pods \"x\" is forbidden: User \"zoe\" cannot get resource \"pods/log\" in API group \"\" in the namespace "
         "\"shop\""},
        {"exec", "{namespace: shop, name: x, command: [sh]}", "cannot create resource \"pods/exec\""},
        {"attach", "{namespace: shop, name: x}", "cannot create resource \"pods/attach\""},
        {"portforward", "{namespace: shop, name: x, port: 80}", "cannot create resource \"pods/portforward\""},
        {"imageload", "{node: n1}", "cannot post path \"/rpc/imageload\""},
        {"imagepull", "{node: n1, name: x}", "cannot post path \"/rpc/imagepull\""},
        {"backup", "{}", "cannot post path \"/rpc/backup\""},
        {"node.pods", "{name: n1}", "cannot"},
    };
    struct kit *k = *state;
    struct user zoe;
    user_new(k, &zoe, "zoe", "");
    for (unsigned i = 0; i < MASTERS; i++) {
        for (size_t n = 0; n < ARRAY_SIZE(rows); n++) {
            int rv = call(zoe.at[i], rows[n].method, "%s", rows[n].params);
            bool agents = strncmp(rows[n].method, "node.", 5) == 0; /* of those that the leader alone is asked */
            if (rv != ERR_FORBIDDEN && !(agents && rv == ERR_NOT_LEADER)) {
                fail_msg("%s at master %u: %d %s", rows[n].method, i, rv, zoe.at[i]->err.message);
            }
            assert_true(agents || strstr(zoe.at[i]->err.message, "\"zoe\" cannot ") != NULL);
        }
        for (size_t n = 0; n < ARRAY_SIZE(streams); n++) {
            struct stream *s = stream_open(zoe.at[i], streams[n].method, "%s", streams[n].params);
            stream_wait_end(s);
            if (s->end.code != ERR_NOT_LEADER && strstr(s->end.message, streams[n].words) == NULL) {
                fail_msg("%s at master %u: %d %s", streams[n].method, i, s->end.code, s->end.message);
            }
            stream_close(s);
        }
        must(zoe.at[i], "hello", "{version: x}");
        must(zoe.at[i], "whoami", "{}");
        must(zoe.at[i], "cluster", "{}");
        must(zoe.at[i], "access", "{verb: get, resource: pods, namespace: default}");
        assert_false(value_to_bool(value_get(zoe.at[i]->result, "allowed"), true));
        must(zoe.at[i], "rules", "{namespace: default}");
    }
    user_close(&zoe);
}

static void test_certificates_are_for_who_may_be_somebody(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user ann;
    user_new(k, &ann, "ann", "");
    apply(admin, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: be-dev}, rules: "
                 "[{verbs: [impersonate], apiGroups: [''], resources: [users]}, {verbs: [impersonate], apiGroups: "
                 "[''], resources: [groups], resourceNames: [dev]}]}, "
                 "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: be-dev}, "
                 "roleRef: {kind: ClusterRole, name: be-dev}, subjects: [{kind: User, name: ann}]}");
    struct pki_identity who = {.role = PKI_ROLE_USER, .name = "x"};
    char *csr, *key;
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    struct value *params = kit_doc(k, "{name: tim, groups: [dev]}");
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    must_value(ann.at[1], "user", params);
    static const struct {
        const char *params, *words;
    } rows[] = {
        {"{name: tim, groups: [ops]}", "User \"ann\" cannot impersonate resource \"groups\""},
        {"{name: tim, groups: ['system:masters']}", "is for an administrator to give"},
        {"{name: 'system:node:n1'}", "are the cluster's own"},
        {"{name: tim, groups: ['system:nodes']}", "are the cluster's own"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        params = kit_doc(k, "%s", rows[i].params);
        value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
        assert_int_equal(call_value(ann.at[1], "user", params), ERR_FORBIDDEN);
        assert_non_null(strstr(ann.at[1]->err.message, rows[i].words));
    }
    /* No group makes an administrator, a node or a master of somebody. */
    params = kit_doc(k, "{name: tim, groups: ['reeve:admins']}");
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    assert_int_equal(call_value(admin, "user", params), ERR_INVALID);
    free(csr);
    pki_free_key(key);
    user_close(&ann);
    client_close(admin);
}

/* Behind the acknowledgement no master lets them in, on no connection, old or new. */
static void test_a_revoked_user_is_let_in_nowhere_from_then_on(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    struct user eve;
    user_new(k, &eve, "eve", "system:masters");
    for (unsigned i = 0; i < MASTERS; i++) {
        must(eve.at[i], "list", "{kind: Secret}");
    }
    must(admin, "cert.revoke", "{name: eve, role: admin}");
    for (unsigned i = 0; i < MASTERS; i++) {
        int rv = call(eve.at[i], "list", "{kind: Secret}");
        assert_true(rv == ERR_UNAUTHORIZED || rv == ERR_CLOSED);
        client_close(eve.at[i]);
        eve.at[i] = client_with(k, i, eve.tls);
        rv = call(eve.at[i], "list", "{kind: Secret}");
        assert_true(rv == ERR_UNAUTHORIZED || rv == ERR_CLOSED);
    }
    user_close(&eve);
    /* A new certificate of the same name counts again. */
    user_new(k, &eve, "eve", "system:masters");
    must(eve.at[2], "list", "{kind: Secret}");
    user_close(&eve);
    client_close(admin);
}

static void test_reviews_tell_the_rule_that_allows(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 1);
    apply(admin, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: look}, "
                 "roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: Group, name: lookers}]}");
    must(admin, "access", "{verb: get, resource: pods, subresource: log, namespace: x, user: tim, groups: [lookers]}");
    assert_true(value_to_bool(value_get(admin->result, "allowed"), false));
    assert_string_equal(text_at(admin, "reason"),
                        "RBAC: allowed by ClusterRoleBinding \"look\" of ClusterRole \"view\" "
                        "to Group \"lookers\"");
    assert_string_equal(text_at(admin, "binding.name"), "look");
    assert_string_equal(text_at(admin, "role.kind"), "ClusterRole");
    must(admin, "access", "{verb: get, group: '', resource: secrets, namespace: x, user: tim, groups: [lookers]}");
    assert_false(value_to_bool(value_get(admin->result, "allowed"), true));
    must(admin, "access", "{verb: post, path: /rpc/token}");
    assert_string_equal(text_at(admin, "reason"), "allowed by the group \"system:masters\"");
    refused(admin, ERR_USAGE, "either a resource or a path", "access", "{verb: get}");
    must(admin, "rules", "{}");
    assert_int_equal(value_count(value_get(admin->result, "rules")), 2);
    client_close(admin);
}

/* [9 default-account] [6 default-roles] */
static void test_each_namespace_has_its_account_and_the_roles_are_there(void **state)
{
    struct kit *k = *state;
    struct client *admin = client_admin(k, 0);
    must(admin, "get", "{kind: ClusterRole, name: cluster-admin}");
    must(admin, "create", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: fresh}}}");
    for (int64_t until = kit_now() + KIT_WAIT_MS;
         call(admin, "get", "{kind: ServiceAccount, namespace: fresh, name: default}") != 0;) {
        assert_true(kit_now() < until);
    }
    for (int64_t until = kit_now() + KIT_WAIT_MS;;) {
        must(admin, "get", "{kind: ClusterRole, name: admin}");
        if (value_count(value_path(admin->result, "object.rules")) > 20) {
            break;
        }
        assert_true(kit_now() < until);
    }
    client_close(admin);
}

/* What counts is asked for most then: it is not confirmed by a leader, here as over HTTPS. */
static void test_metrics_are_told_while_nobody_leads(void **state)
{
    struct kit *k = *state;
    struct user kate;
    struct client *admin = client_admin(k, 0);
    user_new(k, &kate, "counts", "");
    apply(admin, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: counts}, rules: "
                 "[{nonResourceURLs: [/metrics], verbs: [get]}]}, {apiVersion: rbac.authorization.k8s.io/v1, kind: "
                 "ClusterRoleBinding, metadata: {name: counts}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: "
                 "ClusterRole, name: counts}, subjects: [{kind: User, name: counts}]}");
    for (unsigned i = 0; i < MASTERS; i++) {
        must(kate.at[i], "whoami", "{}");
        must(kate.at[i], "metrics.text", "{}");
    }
    unsigned left = (kit_leader(k) + 1) % MASTERS;
    kit_stop(k, (left + 1) % MASTERS, SIGKILL);
    kit_stop(k, (left + 2) % MASTERS, SIGKILL);
    must(kate.at[left], "metrics.text", "{}");
    assert_non_null(strstr(text_at(kate.at[left], "text"), "# TYPE "));
    kit_start(k, (left + 1) % MASTERS);
    kit_start(k, (left + 2) % MASTERS);
    kit_leader(k);
    user_close(&kate);
    client_close(admin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_namespace_has_its_account_and_the_roles_are_there),
        cmocka_unit_test(test_a_user_may_what_roles_give_at_once_on_all_masters),
        cmocka_unit_test(test_nobody_gives_more_than_he_has),
        cmocka_unit_test(test_rights_lead_no_further_than_they_say),
        cmocka_unit_test(test_who_may_impersonate_asks_as_somebody_else),
        cmocka_unit_test(test_apply_tells_nobody_what_is_there),
        cmocka_unit_test(test_a_right_to_a_part_gives_no_object),
        cmocka_unit_test(test_a_watch_ends_with_the_right_to_it),
        cmocka_unit_test(test_names_in_rules_are_those_alone),
        cmocka_unit_test(test_without_a_role_nothing_may_be_asked),
        cmocka_unit_test(test_certificates_are_for_who_may_be_somebody),
        cmocka_unit_test(test_a_revoked_user_is_let_in_nowhere_from_then_on),
        cmocka_unit_test(test_metrics_are_told_while_nobody_leads),
        cmocka_unit_test(test_reviews_tell_the_rule_that_allows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
