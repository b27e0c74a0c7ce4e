/* rctl expose, autoscale: what people type and Reeve has not yet, told by its name, with what to do instead. */
#include "client/cmd/common.h"

/* Every option that kubectl knows there: the answer is the same, and it must not be "unknown option". */
#define TAKEN(name, letter)                                                                                            \
    {                                                                                                                  \
        name, letter, OPTION_VALUE, NULL, NULL, "VALUE", "taken; see above"                                            \
    }

static int not_yet(struct rctl *r, const char *kind, const char *instead)
{
    struct error err = {0};
    error_set(&err, ERR_UNSUPPORTED, "%s is not there yet; %s", kind, instead);
    return rctl_fail_here(r, &err);
}

static const struct option_row expose_options[] = {OPTION_ROWS_FILES,
                                                   OPTION_ROWS_WRITE,
                                                   OPTION_ROW_DRY_RUN,
                                                   OPTION_ROW_OUTPUT,
                                                   OPTION_ROW_SELECTOR,
                                                   TAKEN("port", 0),
                                                   TAKEN("target-port", 0),
                                                   TAKEN("name", 0),
                                                   TAKEN("type", 0),
                                                   TAKEN("protocol", 0),
                                                   TAKEN("cluster-ip", 0),
                                                   TAKEN("external-ip", 0),
                                                   TAKEN("labels", 0),
                                                   TAKEN("session-affinity", 0),
                                                   TAKEN("load-balancer-ip", 0),
                                                   TAKEN("overrides", 0)};

static int run_expose(struct rctl *r)
{
    return not_yet(r, "Service",
                   "\"rctl port-forward TYPE/NAME LOCAL:PORT\" reaches a pod, hostPort opens a node's port");
}

const struct command command_expose = {
    .name = "expose",
    .usage = "TYPE/NAME --port=PORT",
    .summary = "Make a Service (not there yet)",
    .examples = "  rctl expose deploy/hello --port=80\n",
    .options = expose_options,
    .options_count = ARRAY_SIZE(expose_options),
    .run = run_expose,
};

static const struct option_row autoscale_options[] = {OPTION_ROWS_FILES,       OPTION_ROWS_WRITE, OPTION_ROW_DRY_RUN,
                                                      OPTION_ROW_OUTPUT,       TAKEN("min", 0),   TAKEN("max", 0),
                                                      TAKEN("cpu-percent", 0), TAKEN("name", 0)};

static int run_autoscale(struct rctl *r)
{
    return not_yet(r, "HorizontalPodAutoscaler", "\"rctl scale TYPE/NAME --replicas=N\" sets the number of pods");
}

const struct command command_autoscale = {
    .name = "autoscale",
    .usage = "TYPE/NAME --max=N",
    .summary = "Scale by load (not there yet)",
    .examples = "  rctl autoscale deploy/hello --min=1 --max=3\n",
    .options = autoscale_options,
    .options_count = ARRAY_SIZE(autoscale_options),
    .run = run_autoscale,
};
