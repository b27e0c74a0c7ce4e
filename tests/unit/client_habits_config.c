/* rctl config as kubectl config is typed. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(
        state, 0,
        "awk '/certificate-authority-data/{print $2}' config | base64 -d >ca.crt && "
        "awk '/client-certificate-data/{print $2}' config | base64 -d >me.crt && "
        "awk '/client-key-data/{print $2}' config | base64 -d >me.key && "
        "rctl config view --raw -o jsonpath='{.clusters[0].cluster.servers[0]}' >address && test -s address",
        NULL);
}

static void a_configuration_is_made_from_the_command_line(void **state)
{
    static const struct habit rows[] = {
        {"rctl --config new/config config set-cluster far --server=\"$(cat address)\" --certificate-authority=ca.crt",
         NULL, 0, "=Cluster \"far\" set.\n", "="},
        {"rctl --config new/config config set-credentials ann --client-certificate=me.crt --client-key=me.key "
         "--embed-certs",
         NULL, 0, "=User \"ann\" set.\n", "="},
        {"rctl --config new/config config set-context far --cluster=far --user=ann --namespace=shop", NULL, 0,
         "=Context \"far\" created.\n", "="},
        {"rctl --config new/config config current-context", NULL, 5, "=", "current-context is not set"},
        {"rctl --config new/config config use far", NULL, 0, "=Switched to context \"far\".\n", "="},
        {"rctl --config new/config get ns default -o name", NULL, 0, "=namespace/default\n", "="},
        {"rctl --kubeconfig new/config config get-contexts --no-headers", NULL, 0, "*   far   far   ann   shop\n", "="},
        {"rctl --config new/config config view", NULL, 0,
         "certificate-authority: /\nclient-key-data: REDACTED\nclient-certificate-data: DATA+OMITTED", "="},
        {"rctl --config new/config config view --flatten --minify -o json", NULL, 0,
         "\"certificate-authority-data\": \"DATA+OMITTED\"\n!\"certificate-authority\":\n\"REDACTED\"", "="},
        {"rctl --config new/config config view --flatten --minify --raw >flat && ! grep -q REDACTED flat && "
         "rm ca.crt && rctl --config flat get ns default -o name",
         NULL, 0, "=namespace/default\n", "="},
        {"stat -c %a new/config", NULL, 0, "=600\n", "="},
        {"rctl --config new/config config set-credentials bob --token=x", NULL, 2, "=", "certificates only\n!x\""},
        {"rctl --config new/config config set-cluster far --insecure-skip-tls-verify=true --server=x", NULL, 2, "=",
         "always verified"},
        {"rctl --config new/config config set-cluster far --certificate-authority=none.crt", NULL, 5, "=", "none.crt"},
        {"rctl --config new/config config set-cluster far", NULL, 2, "=", "--server or --certificate-authority"},
    };
    RUN(rows);
}

static void contexts_are_renamed_changed_and_deleted(void **state)
{
    habits_must(*state, "cp config edited && rctl --config edited config set-context old --cluster=reeve --user=admin",
                NULL);
    static const struct habit rows[] = {
        {"rctl --config edited config get-contexts -o name", NULL, 0, "old\n", "="},
        {"rctl --config edited config get-contexts old --no-headers", NULL, 0, "old   reeve   admin", "="},
        {"rctl --config edited config get-contexts none", NULL, 5, "=", "no context called \"none\""},
        {"rctl --config edited config get-clusters", NULL, 0, "NAME\n", "="},
        {"rctl --config edited config get-users", NULL, 0, "=NAME\nadmin\n", "="},
        {"rctl --config edited config set-context --current --namespace=team", NULL, 0, "modified.", "="},
        {"rctl --config edited config view --minify -o jsonpath='{..namespace}'", NULL, 0, "=team", "="},
        {"rctl --config edited config set-context --current", NULL, 2, "=", "--namespace, --cluster or --user"},
        {"rctl --config edited config rename-context old older", NULL, 0, "=Context \"old\" renamed to \"older\".\n",
         "="},
        {"rctl --config edited config rename-context old x", NULL, 5, "=", "no context called \"old\""},
        {"rctl --config edited config rename-context older \"$(rctl --config edited config current-context)\"", NULL, 3,
         "=", "already"},
        {"rctl --config edited config set contexts.older.namespace shop && "
         "rctl --config edited config view -o jsonpath='{.contexts[1].context.namespace}'",
         NULL, 0, "=Property \"contexts.older.namespace\" set.\nshop", "="},
        {"rctl --config edited config unset contexts.older.namespace", NULL, 0, "unset.", "="},
        {"rctl --config edited config unset contexts.older.namespace", NULL, 5, "=", "is not set"},
        {"rctl --config edited config unset nothing.at.all", NULL, 2, "=", "is no property"},
        {"rctl --config edited config delete-context older", NULL, 0, "deleted context older from edited\n", "="},
        {"rctl --config edited config delete-context older", NULL, 5, "=", "no context called"},
        {"rctl --config edited config delete-context \"$(rctl --config edited config current-context)\"", NULL, 0, NULL,
         "current context"},
        {"rctl --config edited config delete-user admin", NULL, 0, "deleted user admin", "="},
        {"rctl --config edited config delete-cluster none", NULL, 5, "=", "no cluster called \"none\""},
        {"rctl --config edited get pods", NULL, 1, "=", "no current-context"},
        {"rctl config view -o wide", NULL, 2, "=", "no such form"},
        {"rctl config view -o go-template='{{len .users}}'", NULL, 0, "=1", "="},
        {"rctl config view | grep -c PRIVATE; rctl config view --minify | grep -c 'LS0t'", NULL, 1, "=0\n0\n", "="},
        {"rctl config fly", NULL, 2, "=", "unknown command \"config fly\"; there are: get-contexts"},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configuration_is_made_from_the_command_line),
        cmocka_unit_test(contexts_are_renamed_changed_and_deleted),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
