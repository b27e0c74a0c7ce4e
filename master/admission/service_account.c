/* Source: Kubernetes' admission plugin ServiceAccount. What controllers make is given the same where they make it
 * (controllers/accounts.h). */
#include "controllers/accounts.h"
#include "master/admission/row.h"
#include "proto/facts/cluster.h"

static int give(const struct admission *ad, struct admission_change *c, struct error *err)
{
    (void)err;
    accounts_give_pod(ad->tip, ad->arena, c->doc);
    return 0;
}

static const char *setting(const struct view *v, struct arena *a, bool *on)
{
    struct cluster_config config;
    cluster_config_read(view_get(v, kind_by_id(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME)),
                        &config);
    *on = config.pod_tokens;
    return arena_printf(a, "podTokens=%s", config.pod_tokens ? CLUSTER_POD_TOKENS : "OnRequest");
}

const struct admission_row admission_service_account = {
    .name = "ServiceAccount",
    .kinds = {KIND_POD},
    .operations = ADMISSION_CREATE,
    .mutates = true,
    .help = "A pod gets a volume with a token of its account, the CA and its namespace, and the account's "
            "imagePullSecrets.",
    .give = give,
    .setting = setting,
};
