/* rctl events: what happened, about everything or one object. */
#include <string.h>

#include "client/cmd/show.h"

static const struct option_row events_options[] = {
    {"for", 0, OPTION_VALUE, NULL, NULL, "TYPE/NAME", "about this object only"},
    {"types", 0, OPTION_VALUE, NULL, NULL, "TYPE,...", "Normal or Warning"},
    {"all-namespaces", 'A', OPTION_FLAG, NULL, NULL, NULL, "of all namespaces"},
    {"watch", 'w', OPTION_FLAG, NULL, NULL, NULL, "go on showing new ones"},
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "wide, yaml, json, name, and the others of get"},
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
    {"selector", 'l', OPTION_VALUE, NULL, NULL, "SELECTOR", "labels"},
    {"chunk-size", 0, OPTION_VALUE, "0", NULL, "N", "ask for so many at a time (0: as many as masters like)"},
    {"watch-only", 0, OPTION_FLAG, NULL, NULL, NULL, "new ones only"},
};

/* Normal, Warning, or both; *type NULL: both. */
static int parse_types(struct rctl *r, const char **type, struct error *err)
{
    char *save = NULL, *words = opt(r, "types") == NULL ? NULL : arena_strdup(&r->arena, opt(r, "types"));
    unsigned seen = 0;
    *type = NULL;
    for (char *p = words == NULL ? NULL : strtok_r(words, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
        bool normal = strcasecmp(p, "Normal") == 0;
        if (!normal && strcasecmp(p, "Warning") != 0) {
            return error_set(err, ERR_USAGE, "--types are Normal or Warning, not \"%s\"", p);
        }
        *type = normal ? "Normal" : "Warning";
        seen |= normal ? 1 : 2;
    }
    *type = seen == 3 ? NULL : *type;
    return 0;
}

/* The field selector of --for and --types; *out NULL: none. */
static int parse_selector(struct rctl *r, const char **out, struct error *err)
{
    const char *word = opt(r, "for"), *type;
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (word != NULL) {
        struct resources about;
        if (strchr(word, '/') == NULL) {
            return error_set(err, ERR_USAGE, "--for wants TYPE/NAME, not \"%s\"", word);
        }
        if (resource_parse(&r->arena, &word, 1, &about, err) != 0) {
            return error_wrap(err, "--for");
        }
        buf_printf(&b, "involvedObject.kind=%s,involvedObject.name=%s", about.items[0].kind->name, about.items[0].name);
    }
    int rc = parse_types(r, &type, err);
    if (type != NULL) {
        buf_printf(&b, "%stype=%s", b.size > 0 ? "," : "", type);
    }
    *out = b.size == 0 ? NULL : arena_strdup(&r->arena, buf_cstr(&b));
    return rc;
}

static int run_events(struct rctl *r)
{
    struct error err = {0};
    struct print_options o = {.no_headers = opt_flag(r, "no-headers"), .with_namespace = opt_flag(r, "all-namespaces")};
    const char *selector = NULL;
    int64_t chunk;
    if (r->args.words_count > 0) {
        return rctl_usage(r, "no words are expected; --for TYPE/NAME selects an object");
    }
    if (print_parse_form(&r->arena, opt(r, "output"), NULL, &o, &err) != 0 || parse_selector(r, &selector, &err) != 0 ||
        args_int("chunk-size", opt(r, "chunk-size"), 0, 100000, &chunk, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct api_list_query q = {.kind = kind_by_id(KIND_EVENT),
                               .ns = o.with_namespace ? NULL : rctl_namespace(r),
                               .label_selector = opt(r, "selector"),
                               .field_selector = selector,
                               .limit = (unsigned)chunk};
    if (opt_flag(r, "watch") || opt_flag(r, "watch-only")) {
        struct get_watch w = {.r = r, .o = &o, .kind = q.kind, .skip_first = opt_flag(r, "watch-only")};
        return get_watch_run(&w, &q);
    }
    CLEANUP_LIST struct api_list list = {0};
    if (api_list(r->api, &q, &list, &err) != 0) {
        return rctl_fail(r, &err);
    }
    get_sort_events(list.items, list.count);
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (o.form != PRINT_TABLE && o.form != PRINT_WIDE) {
        if (print_objects(&r->arena, &out, &o, list.items, list.count, false, &err) != 0) {
            return rctl_fail(r, &err);
        }
    } else if (list.count == 0) {
        get_note_nothing(r, q.kind);
    } else {
        struct print_widths widths = {0};
        print_table(&out, &o, q.kind, list.items, list.count, rctl_now_ms(), &widths);
    }
    rctl_write(r, &out);
    return EXIT_DONE;
}

const struct command command_events = {
    .name = "events",
    .usage = "[--for TYPE/NAME] [-A] [-w]",
    .summary = "Show what happened, oldest first",
    .examples = "  # in the current namespace\n"
                "  rctl events\n"
                "  # about one pod, and going on\n"
                "  rctl events --for pod/hello -w\n"
                "  # only what went wrong, everywhere\n"
                "  rctl events -A --types Warning\n",
    .options = events_options,
    .options_count = ARRAY_SIZE(events_options),
    .run = run_events,
};
