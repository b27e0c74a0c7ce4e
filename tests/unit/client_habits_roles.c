/* kubectl's habits with accounts, roles and bindings, and what Reeve adds: users, and why somebody may. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 1, "rctl create namespace shop", NULL);
}

static void roles_are_made_and_shown(void **state)
{
    static const struct habit rows[] = {
        {"rctl create sa robot -n shop", NULL, 0, "serviceaccount/robot created", "="},
        {"rctl get sa -n shop --no-headers | cut -c1-10", NULL, 0, "default\nrobot", "="},
        /* [0 account-secrets] */
        {"rctl get sa default -n shop -o jsonpath='{.metadata.name}{.secrets}'", NULL, 0, "=default", "="},
        {"rctl describe sa robot -n shop | tr -s ' '", NULL, 0,
         "Name: robot\nNamespace: shop\nImage pull secrets: <none>\nMountable secrets: <none>\nTokens: <none>\n", "="},
        {"rctl create role reader --verb=get,list --verb=watch --resource=pods,pods/log,deployments.apps -n shop -o "
         "yaml "
         "--dry-run=client",
         NULL, 0,
         "kind: Role\nrules:\n- apiGroups:\n  - \"\"\n  resources:\n  - pods\n  - pods/log\n  verbs:\n  - get\n  - "
         "list\n  "
         "- watch\n- apiGroups:\n  - apps\n  resources:\n  - deployments\n  verbs:\n  - get\n  - list\n  - watch",
         "="},
        {"rctl create role reader --verb=get,list,watch --resource=pods,pods/log -n shop", NULL, 0,
         "role.rbac.authorization.k8s.io/reader created", "="},
        {"rctl describe role reader -n shop | tr -s ' '", NULL, 0,
         "Name: reader\nPolicyRule:\n Resources Non-Resource URLs Resource Names Verbs\n --------- ----------------- "
         "-------------- -----\n pods [] [] [get list watch]\n pods/log [] [] [get list watch]\n",
         "="},
        {"rctl create role r --resource=pods", NULL, 2, "=", "at least one verb must be specified"},
        {"rctl create role r --verb=get", NULL, 2, "=", "at least one resource must be specified"},
        {"rctl create role r --verb=get --resource=podz", NULL, 2, "=", "no resource type \"podz\""},
        {"rctl create clusterrole probe --verb=get --non-resource-url=/healthz,/readyz -o json --dry-run=client", NULL,
         0, "\"/readyz\"\n\"/healthz\"", "="},
        {"rctl create clusterrole sum --aggregation-rule=a=b --dry-run=client -o yaml", NULL, 0,
         "clusterRoleSelectors:\n  - matchLabels:\n      a: b", "="},
        {"rctl create rolebinding dev --clusterrole=edit --role=x", NULL, 2, "=",
         "exactly one of clusterrole or role must be specified"},
        {"rctl create rolebinding x --role=reader --serviceaccount=robot -n shop", NULL, 2, "=",
         "serviceaccount must be <namespace>:<name>"},
        {"rctl create rolebinding look --role=reader --user=tim --group=ops --serviceaccount=shop:robot -n shop", NULL,
         0, "rolebinding.rbac.authorization.k8s.io/look created", "="},
        {"rctl get rolebinding -n shop -o wide | tr -s ' '", NULL, 0,
         "NAME ROLE AGE USERS GROUPS SERVICEACCOUNTS\nlook Role/reader\ntim ops shop/robot", "="},
        {"rctl describe rolebinding look -n shop | tr -s ' '", NULL, 0,
         "Role:\n Kind: Role\n Name: reader\nSubjects:\n Kind Name Namespace\n ---- ---- ---------\n User tim", "="},
        {"rctl get clusterrole cluster-admin | head -1 | tr -s ' '", NULL, 0, "=NAME CREATED AT\n", "="},
        {"rctl create clusterrolebinding x --user=tim", NULL, 2, "=", "clusterrole must be specified"},
        {"rctl patch rolebinding look -n shop --type=merge -p '{roleRef: {name: other}}'", NULL, 1, "=",
         "cannot change roleRef"},
        {"rctl explain role.rules.verbs", NULL, 0, "impersonate, bind, escalate", "="},
        {"rctl auth can-i get pods -n shop --as system:serviceaccount:shop:robot", NULL, 0, "=yes\n", "="},
        {"rctl auth can-i get secrets -n shop --as system:serviceaccount:shop:robot", NULL, 1, "=no\n", "="},
        {"rctl auth why get pods --subresource=log -n shop --as tim | tr -s ' '", NULL, 0,
         "yes: User \"tim\"\nBinding: RoleBinding shop/look\nRole: Role shop/reader\nSubject: User "
         "tim\nRule:\npods/log [] "
         "[] [get list watch]",
         "="},
        {"rctl auth why delete nodes --as tim", NULL, 1, "no: no rule of any role that is bound to \"tim\"", "="},
        {"rctl auth why post /rpc/token", NULL, 0, "yes: User \"admin\": allowed by the group \"system:masters\"", "="},
    };
    RUN(rows);
}

static void a_user_may_what_roles_give(void **state)
{
    static const struct habit rows[] = {
        {"rctl user add kate --group dev", NULL, 0, "=user \"kate\" added: kate.config\n",
         "rctl create rolebinding\nprivate key"},
        {"stat -c %a kate.config", NULL, 0, "=600\n"},
        {"rctl user add kate", NULL, 3, "=", "kate.config is there already"},
        {"rctl user add", NULL, 2, "=", "exactly one name"},
        {"rctl user add x --group system:nodes", NULL, 6, "=", "are the cluster's own"},
        {"rctl --config kate.config auth whoami", NULL, 0, "Username    kate\nGroups      [dev system:authenticated]",
         "="},
        {"rctl --config kate.config get pods -n shop", NULL, 6, "=",
         "Error from server (Forbidden): pods is forbidden: User \"kate\" cannot list resource \"pods\" in API group "
         "\"\" "
         "in the namespace \"shop\""},
        {"rctl create rolebinding dev --clusterrole=edit --group=dev -n shop", NULL, 0, "created", "="},
        {"rctl --config kate.config get pods -n shop", NULL, 0, "=", "No resources found in shop namespace"},
        {"rctl --config kate.config create cm c --from-literal=a=b -n shop", NULL, 0, "configmap/c created", "="},
        {"rctl --config kate.config create deployment web --image=a -n shop", NULL, 0, "created", "="},
        {"rctl --config kate.config get pods", NULL, 6, "=", "in the namespace \"default\""},
        {"rctl --config kate.config get nodes", NULL, 6, "=", "at the cluster scope"},
        {"rctl --config kate.config exec web -n default -- true", NULL, 6, "=", "is forbidden: User \"kate\" cannot"},
        {"rctl --config kate.config create rolebinding me --clusterrole=cluster-admin --user=kate -n shop", NULL, 6,
         "=", "User \"kate\" cannot create resource \"rolebindings\""},
        {"rctl --config kate.config auth can-i --list -n shop | tr -s ' '", NULL, 0,
         "Resources Non-Resource URLs Resource Names Verbs\nsecrets [] []\n[/version]", "="},
        {"rctl auth can-i --list -n shop --as kate --as-group dev | tr -s ' '", NULL, 0,
         "Resources Non-Resource URLs Resource Names Verbs\nsecrets [] []\n[/version]", "="},
        {"rctl auth can-i --list -n shop --as tom | grep -c secrets", NULL, 1, "=0\n", "="},
        {"rctl --config kate.config auth can-i --list --as tom", NULL, 6, "=",
         "User \"kate\" cannot impersonate resource \"users\""},
        {"rctl --config kate.config auth can-i get pods -n shop --as tim", NULL, 6, "=",
         "cannot create resource \"subjectaccessreviews\" in API group \"authorization.k8s.io\" at the cluster scope"},
        {"echo long-enough > pass && rctl --config kate.config backup save x.backup --passphrase-file pass", NULL, 6,
         NULL, "forbidden: User \"kate\" cannot post path \"/rpc/backup\""},
        {"rctl cert revoke user/kate", NULL, 0, "revoked", NULL},
        {"rctl --config kate.config get pods -n shop", NULL, 6, "=", "certificate of user \"kate\" was revoked"},
    };
    RUN(rows);
}

static void tokens_are_made(void **state)
{
    habits_until(*state, "rctl get sa default -n shop");
    static const struct habit rows[] = {
        {"rctl create token default -n shop | tr -cd .", NULL, 0, "=..", "="},
        {"rctl create token default -n shop --duration 24h --audience vault | cut -d. -f2 | tr _- /+ | base64 -d 2>&1",
         NULL, 0, "\"aud\":[\"vault\"]\nsystem:serviceaccount:shop:default", NULL},
        {"rctl create token default -n shop --duration 5m", NULL, 1, "=", "less than 10 minutes"},
        {"rctl create token nobody -n shop", NULL, 5, "=", "serviceaccounts \"nobody\" not found"},
        {"rctl create token", NULL, 2, "=", "exactly one name of a service account"},
        {"rctl create token default --bound-object-kind Pod", NULL, 2, "=", "go together"},
        {"rctl create token default -n shop --bound-object-kind Pod --bound-object-name p", NULL, 5, "=",
         "pods \"p\" not found"},
        {"rctl user add robot --token --duration 1h --group dev", NULL, 0, "=user \"robot\" added: robot.kubeconfig\n",
         "rctl cert revoke user/robot"},
        {"stat -c %a robot.kubeconfig && grep -c 'token: reeve-user[.]' robot.kubeconfig", NULL, 0, "=600\n1\n"},
        {"rctl user add robot --duration 1h --to other", NULL, 2, "=", "say --token"},
        {"rctl create secret generic bootstrap-token-abcdef -n kube-system --type bootstrap.kubernetes.io/token "
         "--from-literal token-id=abcdef --from-literal token-secret=0123456789abcdef --from-literal "
         "usage-bootstrap-authentication=true --from-literal auth-extra-groups=system:bootstrappers:ci",
         NULL, 0, "created", "="},
        {"rctl token create --node-name 'rack1-*' --uses 3 >/dev/null", NULL, 0, "=", NULL},
        {"rctl token list | tr -s ' '", NULL, 0,
         "ID FOR USES LEFT EXPIRES NODES OR GROUPS\nabcdef authentication <any> <never> system:bootstrappers:ci\njoin "
         "(node) 3 20\nZ rack1-*",
         "="},
        {"rctl token list | grep -c 0123456789abcdef", NULL, 1, "=0\n", "="},
        {"rctl token list x", NULL, 2, "=", "\"x\" is not expected: \"rctl token list\" takes no names"},
        {"rctl cert rotate-tokens", NULL, 0, "=another key signs tokens of service accounts\n",
         "when all masters know it"},
        {"rctl create token default -n shop | tr -cd .", NULL, 0, "=..", "="},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_are_made_and_shown),
        cmocka_unit_test(a_user_may_what_roles_give),
        cmocka_unit_test(tokens_are_made),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
