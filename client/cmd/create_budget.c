/* rctl create poddisruptionbudget. */
#include "client/cmd/create.h"

static const struct option_row budget_options[] = {
    {"selector", 0, OPTION_VALUE, NULL, NULL, "KEY=VALUE,...", "the pods that it is for, by their labels"},
    {"min-available", 0, OPTION_VALUE, NULL, NULL, "N|N%", "so many of them must stay healthy"},
    {"max-unavailable", 0, OPTION_VALUE, NULL, NULL, "N|N%", "or: so many of them may be missing"},
    OPTION_ROWS_CREATE,
};

/* A number is one; what else it is the masters judge. */
static struct value *bound(struct rctl *r, const char *text)
{
    int64_t n;
    return args_int("", text, 0, INT32_MAX, &n, NULL) == 0 ? value_int(&r->arena, n) : value_cstr(&r->arena, text);
}

static int run_budget(struct rctl *r)
{
    const char *least = opt(r, "min-available"), *most = opt(r, "max-unavailable"), *selector = opt(r, "selector");
    struct arena *a = &r->arena;
    struct error err = {0};
    if (r->args.dash != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    if (selector == NULL) {
        return rctl_usage(r, "which pods? --selector=KEY=VALUE");
    }
    if ((least == NULL) == (most == NULL)) {
        return rctl_usage(r, "how many? one of --min-available and --max-unavailable");
    }
    struct value *doc = create_document(r, "policy/v1", "PodDisruptionBudget", r->args.words[0], true);
    struct value *spec = value_ensure_map(a, doc, "spec");
    value_set(a, spec, least != NULL ? "minAvailable" : "maxUnavailable", bound(r, least != NULL ? least : most));
    struct value *labels = value_ensure_map(a, value_ensure_map(a, spec, "selector"), "matchLabels");
    if (common_pairs(r, "--selector", selector, labels, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    return create_made(r, doc);
}

const struct command create_budget = {
    .name = "poddisruptionbudget",
    .alias = "pdb",
    .usage = "NAME --selector=KEY=VALUE (--min-available=N | --max-unavailable=N)",
    .summary = "Create a budget of pods that may be taken away on purpose",
    .examples = "  rctl create pdb web --selector=app=web --min-available=50%\n"
                "  rctl create pdb db --selector=app=db --max-unavailable=1\n"
                "  rctl get pdb\n",
    .options = budget_options,
    .options_count = ARRAY_SIZE(budget_options),
    .run = run_budget,
};
