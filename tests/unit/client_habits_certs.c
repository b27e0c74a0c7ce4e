/* rctl cert, as people type it. */
#include "tests/unit/kit/habits.h"

static void certificates_are_revoked_by_name_and_number(void **state)
{
    static const struct habit rows[] = {
        {"rctl cert", NULL, HABIT_ANY, "revoke\nrevoked\nrotate-ca\nrotate-seal", "="},
        {"rctl cert rotate-ca --finish", NULL, 1, "=", "no rotation of the CA is under way\nbegins one"},
        {"rctl cert rotate-ca --hold --finish", NULL, 2, "=", "are contrary"},
        {"rctl cert rotate-ca n1", NULL, 2, "=", "takes no names"},
        {"rctl cert rotate-seal --finish", NULL, 1, "=", "is not being replaced\nbegins it"},
        {"rctl cert rotate-seal n1", NULL, 2, "=", "takes no names"},
        {"rctl cert rotate-tokens x", NULL, 2, "=",
         "\"x\" is not expected: \"rctl cert rotate-tokens\" takes no names, only options\n"
         "usage: rctl cert rotate-tokens\nSee 'rctl cert rotate-tokens --help'"},
        {"rctl cluster status all", NULL, 2, "=", "\"all\" is not expected\nusage: rctl cluster status [-o json|yaml]"},
        {"rctl cert rotate-seal", NULL, 0, "the key that seals Secrets is now ", "former one has sealed"},
        {"rctl delete cm -n kube-system reeve-seal", NULL, 6, "=", "can't be deleted: the cluster needs it"},
        {"rctl cert revoked", NULL, 0, "=", "No certificates are revoked."},
        {"rctl cert status -o yaml", NULL, 0, "who: master 1\nserial: ", NULL},
        {"rctl cert revoke node/nix", NULL, 0, "=certificates of node \"nix\" revoked\n",
         "no node \"nix\" at present\nrctl get nodes"},
        {"rctl cert rotate-seal -h", NULL, 0,
         "remove the master, then\n  rctl cert rotate-seal\n  # it was\nrotate-ca && ", NULL},
        {"rctl master add --listen foo", NULL, 2, "=", "--listen is HOST:PORT\nnot \"foo\""},
        {"rctl master add --listen :7400", NULL, 2, "=", "--listen is HOST:PORT"},
        {"rctl master add --listen 10.0.0.4:0", NULL, 2, "=", "--listen is HOST:PORT"},
        {"rctl master add --listen 10.0.0.4:70000", NULL, 2, "=", "--listen is HOST:PORT"},
        {"rctl master add --listen fd00::4:7400", NULL, 2, "=", "--listen is HOST:PORT"},
        {"rctl master add --listen 'x$(id):7400'", NULL, 2, "=", "--listen is HOST:PORT"},
        {"rctl master replace 1 --listen foo", NULL, 2, "=", "--listen is HOST:PORT"},
        {"rctl master add --listen [fd00::4]:7400", NULL, 0, "--listen [fd00::4]:7400 ", NULL},
        {"rctl master add", NULL, 0, "--dir /var/lib/reeve --listen THIS-HOST:7400 ", NULL},
        {"rctl master add --dir '/srv/my data; x'", NULL, 0, "join --dir '/srv/my data; x' --listen ",
         "reeve-master run --dir '/srv/my data; x'"},
        {"rctl master add --dir \"/srv/kate's\"", NULL, 0, "join --dir '/srv/kate'\\''s' --listen ", NULL},
        {"rctl cert revoke", NULL, 2, "=", "one name of a node or user, or one serial number"},
        {"rctl cert revoke kate paul", NULL, 2, "=", "one name"},
        {"rctl cert revoke kate", NULL, 5, "=", "there is no node \"kate\"\nsay node/kate or user/kate"},
        {"rctl cert revoke user/kate", NULL, 0, "=certificates of user \"kate\" revoked\n",
         "count no more, an administrator's too\nrctl user add kate\nreeve-master admin\nnobody can check that there "
         "is a user \"kate\"\nrctl auth whoami"},
        {"rctl cert revoke master/1", NULL, 1, "=", "rctl master remove"},
        {"rctl cert revoke admin", NULL, 3, "=", "this is your own certificate\n--force"},
        {"rctl cert revoke serial/nonsense", NULL, 1, "=", "is no serial number"},
        {"rctl cert revoke 21:01:9A:3C:5E:8F:00:11:22:33:44:55:66:77:88:99:AA", NULL, 0,
         "=certificate 21019a3c5e8f00112233445566778899aa revoked\n", "other certificates of its owner still count"},
        {"rctl delete node hollow-0", NULL, 0, "node \"hollow-0\" deleted", NULL},
        {"rctl cert revoked", NULL, 0,
         "KIND\nISSUED-BEFORE\nuser\nkate\nserial\n21019a3c5e8f00112233445566778899aa\nnode\nhollow-0", "="},
        {"rctl cert revoked -o json", NULL, 0, "\"name\": \"hollow-0\"", "="},
        {"rctl get nodes", NULL, 0, "!hollow-0", "No resources found"},
        {"rctl delete cm -n kube-system reeve-revoked", NULL, 6, "=", "can't be deleted: the cluster needs it"},
        {"rctl get cm -n kube-system reeve-revoked -o yaml", NULL, 0, "node \nhollow-0", "="},
        {"rctl cert revoke admin --force", NULL, 0, "certificates of user \"admin\" revoked", NULL},
        {"rctl get nodes", NULL, HABIT_ANY, "=",
         "the certificate of user \"admin\" was revoked on\nreeve-master admin"},
    };
    habits_run(*state, rows, ARRAY_SIZE(rows));
}

static int set_up(void **state)
{
    *state = habits_start(1);
    return 0;
}

static int tear_down(void **state)
{
    habits_stop(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_are_revoked_by_name_and_number),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
