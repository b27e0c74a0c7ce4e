/* rctl autoscale: what people type and Reeve has not yet, told by its name, with what to do instead. */
#include "client/cmd/common.h"

/* Every option that kubectl knows there: the answer is the same, and it must not be "unknown option". */
#define TAKEN(name, letter)                                                                                            \
    {                                                                                                                  \
        name, letter, OPTION_VALUE, NULL, NULL, "VALUE", "taken; see above"                                            \
    }

static const struct option_row autoscale_options[] = {OPTION_ROWS_FILES,       OPTION_ROWS_WRITE, OPTION_ROW_DRY_RUN,
                                                      OPTION_ROW_OUTPUT,       TAKEN("min", 0),   TAKEN("max", 0),
                                                      TAKEN("cpu-percent", 0), TAKEN("name", 0)};

static int run_autoscale(struct rctl *r)
{
    struct error err = {0};
    error_set(&err, ERR_UNSUPPORTED,
              "HorizontalPodAutoscaler is not there yet; "
              "\"rctl scale TYPE/NAME --replicas=N\" sets the number of pods");
    return rctl_fail_here(r, &err);
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
