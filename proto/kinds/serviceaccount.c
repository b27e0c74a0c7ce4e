/* ServiceAccount: whom the programs of a namespace's pods are for the cluster. Source: Kubernetes v1 ServiceAccount. */
#include "proto/describe/parts.h"
#include "proto/facts/account.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"

#define WIDTH 21

/* clang-format off */
SCHEMA_STATIC(account, "ServiceAccount", "Whom programs in pods are for the cluster; roles are bound to it.",
    TYPE_META,
    OBJECTS("secrets", schema_object_reference, "Secrets of its namespace that its pods may name. Tokens in Secrets "
            "are told here for old clients.", MERGE("name")),
    OBJECTS("imagePullSecrets", schema_local_reference, "Secrets with logins to registries, for pods that name none "
            "of their own."),
    BOOLEAN("automountServiceAccountToken", "Whether its pods see a token of it, where they do not say so "
            "themselves."));
/* clang-format on */

static void account_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    static const char *const lists[] = {"secrets", "imagePullSecrets"};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter it = mp_iter(mp_get(object_mp(o), lists[i])); mp_next(&it);) {
            struct str name = mp_str(mp_get(it.value, "name"));
            if (name.n > 0) {
                cb(data, &(struct kind_reference){.kind = kind_by_id(KIND_SECRET),
                                                  .ns = o->ns,
                                                  .name = name,
                                                  .use = REFERENCE_TARGET,
                                                  .optional = true});
            }
        }
    }
}

static void cell_secrets(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_printf(out, "%u", mp_count(mp_get(object_mp(o), "secrets")));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "SECRETS", .cell = cell_secrets, .value = COLUMN_PLAIN},
    {.title = "AGE"},
};

static void describe_names(struct buf *out, const char *label, struct mp list)
{
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it); n++) {
        describe_text(out, 0, WIDTH, n == 0 ? label : "", mp_str(mp_get(it.value, "name")));
    }
    if (n == 0) {
        describe_text(out, 0, WIDTH, label, STR_NONE);
    }
}

/* Secrets of the type kubernetes.io/service-account-token that are about it. */
static void describe_tokens(struct buf *out, const struct object *o, const struct describe_list *secrets)
{
    unsigned n = 0;
    for (unsigned i = 0; i < secrets->count; i++) {
        const struct object *s = secrets->items[i];
        if (str_is(mp_str(mp_get(object_mp(s), "type")), SECRET_TOKEN_TYPE) &&
            str_eq(object_annotation(s, SECRET_TOKEN_ACCOUNT), o->name)) {
            describe_text(out, 0, WIDTH, n++ == 0 ? "Tokens:" : "", s->name);
        }
    }
    if (n == 0) {
        describe_text(out, 0, WIDTH, "Tokens:", STR_NONE);
    }
}

static void describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, WIDTH);
    describe_names(out, "Image pull secrets:", mp_get(object_mp(o), "imagePullSecrets"));
    describe_names(out, "Mountable secrets:", mp_get(object_mp(o), "secrets"));
    describe_tokens(out, o, &c->related[0]);
    describe_events(out, c);
}

static const struct kind_related related[] = {{.kind = KIND_SECRET, .referring = true}, {0}};

const struct kind kind_serviceaccount = {
    .id = KIND_SERVICEACCOUNT,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "ServiceAccount",
    .api_version = "v1",
    .plural = "serviceaccounts",
    .singular = "serviceaccount",
    .short_names = "sa",
    .namespaced = true,
    .schema = &account,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .references = account_references,
    .describe = describe,
    .related = related,
};
