/* rctl token list: which join tokens and bootstrap tokens there are. Never what they are: of each its id, which is no
 * secret. */
#include <string.h>

#include "client/cmd/common.h"
#include "client/cmd/token.h"
#include "proto/text/grid.h"

#define TOKEN_TYPE "bootstrap.kubernetes.io/token"
#define COLUMNS    5u

static const char *member(struct rctl *r, const struct object *secret, const char *key)
{
    struct mp m = mp_get(mp_get(object_mp(secret), "data"), key);
    struct str s = STR_NONE;
    return mp_read_bin(&m, &s) && s.n > 0 ? arena_strndup(&r->arena, s.p, s.n) : NULL;
}

static const char *or_none(const char *text)
{
    return text == NULL ? "<none>" : text;
}

static void put_row(struct rctl *r, const struct object *secret, const char **cells)
{
    const char *role = member(r, secret, "role"), *usage = member(r, secret, "usage-bootstrap-authentication");
    bool proves = usage != NULL && strcmp(usage, "true") == 0;
    const char *until = member(r, secret, "expiration"), *uses = member(r, secret, "uses");
    cells[0] = or_none(member(r, secret, "token-id"));
    cells[1] = role != NULL && proves ? arena_printf(&r->arena, "join (%s), authentication", role)
               : role != NULL         ? arena_printf(&r->arena, "join (%s)", role)
               : proves               ? "authentication"
                                      : "nothing";
    cells[2] = role == NULL ? "<any>" : uses == NULL ? "1" : uses;
    cells[3] = until == NULL ? "<never>" : until;
    cells[4] = or_none(role != NULL ? member(r, secret, "node-names") : member(r, secret, "auth-extra-groups"));
}

static int run_token_list(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list list = {0};
    CLEANUP_BUF struct buf out = BUF_INIT;
    const struct api_list_query q = {
        .kind = kind_by_id(KIND_SECRET), .ns = "kube-system", .field_selector = "type=" TOKEN_TYPE};
    if (rctl_connect(r, &err) != 0 || api_list(r->api, &q, &list, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (list.count == 0) {
        rctl_note(r, "there are no tokens; `rctl token create` makes one");
        return EXIT_DONE;
    }
    const char **cells = arena_alloc(&r->arena, (list.count + 1) * COLUMNS * sizeof *cells);
    static const char *const titles[COLUMNS] = {"ID", "FOR", "USES LEFT", "EXPIRES", "NODES OR GROUPS"};
    memcpy(cells, titles, sizeof titles);
    for (unsigned i = 0; i < list.count; i++) {
        put_row(r, list.items[i], cells + (size_t)(i + 1) * COLUMNS);
    }
    grid_print(&out, cells, COLUMNS, list.count + 1);
    rctl_write(r, &out);
    return EXIT_DONE;
}

const struct command token_list = {
    .name = "list",
    .usage = "",
    .wordless = true,
    .summary = "Which join tokens and bootstrap tokens there are",
    .examples = "  rctl token list\n"
                "  # the one with this id lets nobody in from then on\n"
                "  rctl delete secret bootstrap-token-abcdef -n kube-system\n",
    .run = run_token_list,
};
