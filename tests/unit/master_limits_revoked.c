/* More deleted nodes than the list of revoked certificates has lines: it stays small, and the certificates are
 * refused all the same. */
#include "master/auth/revoked.h"
#include "tests/unit/kit/master_kit.h"

#define NODES  (REVOKED_MAX + 400u)
#define A_CALL 1024u /* objects of one apply, at most */

static int set_up(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static void make_nodes(struct kit *k, struct client *c)
{
    for (unsigned i = 0; i < NODES;) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        buf_printf(&text, "{objects: [");
        for (unsigned n = 0; n < A_CALL && i < NODES; n++, i++) {
            buf_printf(&text, "%s{apiVersion: v1, kind: Node, metadata: {name: n%u, labels: {of: flood}}}",
                       n == 0 ? "" : ", ", i);
        }
        buf_printf(&text, "]}");
        must_value(c, "apply", kit_doc(k, "%s", buf_cstr(&text)));
    }
}

static unsigned list_lines(struct client *c)
{
    unsigned lines = 0;
    must(c, "get", "{kind: ConfigMap, namespace: kube-system, name: reeve-revoked}");
    for (const char *p = text_at(c, "object.data.list"); (p = strchr(p, '\n')) != NULL; p++) {
        lines++;
    }
    return lines;
}

static void a_flood_of_deleted_nodes_leaves_a_rule_instead_of_lines(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    struct client *stays = client_as(k, 0, PKI_ROLE_NODE, "stays"), *goes = client_as(k, 0, PKI_ROLE_NODE, "n0");
    must(stays, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: stays}}}");
    make_nodes(k, c);
    must(goes, "get", "{kind: Node, name: n0}");
    must(c, "cert.revoke", "{name: kate, role: admin}");
    must(c, "deletecollection", "{kind: Node, labelSelector: of=flood}");
    assert_int_equal(int_at(c, "count"), NODES);
    assert_true(list_lines(c) < REVOKED_MAX / 2); /* of the last ones, which went when the rule was there already */
    for (int64_t until = kit_now() + KIT_WAIT_MS; goes->rpc != NULL; kit_turn(k, 20)) {
        assert_true(kit_now() < until);
    }
    must(c, "cert.revoked", "{}");
    assert_true(text_at(c, "nodesWithoutObjectBefore")[0] != '\0');
    must(stays, "get", "{kind: Node, name: stays}"); /* it has its Node */
    struct client *again = client_as(k, 0, PKI_ROLE_NODE, "n0");
    refused(again, ERR_UNAUTHORIZED, "the cluster has no such node", "node.register",
            "{node: {apiVersion: v1, kind: Node, metadata: {name: n0}}}");
    struct client *kate = client_as(k, 0, PKI_ROLE_ADMIN, "kate");             /* who asks for nothing is cut soon */
    refused(kate, ERR_UNAUTHORIZED, "was revoked on", "list", "{kind: Node}"); /* lines of others are kept */
    client_close(again);
    client_close(kate);
    client_close(goes);
    client_close(stays);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_deleted_nodes_leaves_a_rule_instead_of_lines),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
