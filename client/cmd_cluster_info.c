/* rctl cluster-info, rctl top: what people type first on a cluster they do not know. */
#include <string.h>

#include "client/common.h"

static int run_cluster_info(struct rctl *r)
{
    struct error err = {0};
    if (r->args.words_count > 0) {
        return rctl_usage(r, "no words are expected, not \"%s\"", r->args.words[0]);
    }
    CLEANUP_REPLY struct api_reply reply = {0};
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "cluster", value_map(&r->arena), &reply, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct mp m = reply.result;
    int64_t leader = mp_int(mp_get(m, "leader"), 0);
    unsigned masters = 0;
    for (struct mp_iter it = mp_iter(mp_get(m, "members")); mp_next(&it); masters++) {
        struct str address = mp_str(mp_get(it.value, "address"));
        bool leads = leader != 0 && mp_int(mp_get(it.value, "id"), -1) == leader;
        fprintf(r->out, "Reeve master %lld%s is at %.*s\n", (long long)mp_int(mp_get(it.value, "id"), 0),
                leads ? " (leader)" : "", STR_ARG(address));
    }
    fprintf(r->out, "\nCluster \"%.*s\": %u %s, %u %s. \"rctl cluster status\" tells which of them are up.\n",
            STR_ARG(mp_str(mp_get(m, "cluster"))), masters, masters == 1 ? "master" : "masters",
            mp_count(mp_get(m, "nodes")), mp_count(mp_get(m, "nodes")) == 1 ? "node" : "nodes");
    return EXIT_DONE;
}

static int run_dump(struct rctl *r)
{
    struct error err = {0};
    error_set(
        &err, ERR_UNSUPPORTED,
        "cluster-info dump is not there yet; \"rctl get nodes,pods,deploy,rs,events -A -o yaml\" has the objects, "
        "\"rctl logs -l SELECTOR --all-containers\" the logs");
    return rctl_fail(r, &err);
}

static const struct option_row dump_options[] = {
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, NULL},
    {"namespaces", 0, OPTION_VALUE, NULL, NULL, NULL, NULL},
    {"output-directory", 0, OPTION_VALUE, NULL, NULL, NULL, NULL},
    {"output", 'o', OPTION_VALUE, NULL, NULL, NULL, NULL},
};
static const struct command cluster_info_dump = {
    .name = "dump",
    .usage = "",
    .summary = "Everything about the cluster, for who looks for a fault (not there yet)",
    .examples = "  rctl cluster-info dump\n",
    .options = dump_options,
    .options_count = ARRAY_SIZE(dump_options),
    .run = run_dump,
};
static const struct command *const cluster_info_subs[] = {&cluster_info_dump, NULL};
const struct command command_cluster_info = {
    .name = "cluster-info",
    .usage = "",
    .summary = "Where the masters are",
    .examples = "  rctl cluster-info\n"
                "  # more of it\n"
                "  rctl cluster status\n",
    .subs = cluster_info_subs,
    .run = run_cluster_info,
};

/* ---- top ---- */

static int run_top(struct rctl *r)
{
    struct error err = {0};
    error_set(&err, ERR_UNSUPPORTED,
              "the use of cpu and memory is not there yet; \"rctl describe node NODE\" sums up what pods request");
    return rctl_fail(r, &err);
}

static const struct option_row top_options[] = {
    OPTION_ROW_SELECTOR,
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, NULL},
    {"containers", 0, OPTION_FLAG, NULL, NULL, NULL, NULL},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, NULL},
    {"sort-by", 0, OPTION_VALUE, NULL, NULL, NULL, NULL},
};
#define TOP_COMMAND(var, title, other)                                                                                 \
    static const struct command var = {.name = title,                                                                  \
                                       .alias = other,                                                                 \
                                       .usage = "[NAME]",                                                              \
                                       .summary = "Use of cpu and memory (not there yet)",                             \
                                       .examples = "  rctl top " title "\n",                                           \
                                       .options = top_options,                                                         \
                                       .options_count = ARRAY_SIZE(top_options),                                       \
                                       .run = run_top}
TOP_COMMAND(top_node, "node", "nodes,no");
TOP_COMMAND(top_pod, "pod", "pods,po");
static const struct command *const top_subs[] = {&top_node, &top_pod, NULL};
const struct command command_top = {
    .name = "top",
    .usage = "node|pod",
    .summary = "Use of cpu and memory (not there yet)",
    .examples = "  rctl top nodes\n",
    .subs = top_subs,
};
