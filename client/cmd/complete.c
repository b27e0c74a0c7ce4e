#include "client/cmd/complete.h"

#include <string.h>

#include "client/cmd/common.h"

#define COMPLETE_DEADLINE "2s" /* of a request: somebody waits with a finger on the key */

struct completion {
    struct rctl *r;
    const char *last;      /* to be completed */
    const char *prefix;    /* stands in front of every candidate: "pods,", "--namespace=" */
    const char *words[64]; /* without commands and options */
    unsigned count;
    const struct option_row *option; /* whose value is to be completed; NULL = none */
    bool after_dash;                 /* behind --: words of somebody else */
};

static void offer(struct completion *c, const char *text)
{
    if (strncmp(text, c->last, strlen(c->last)) == 0) {
        fprintf(c->r->out, "%s%s\n", c->prefix, text);
    }
}

static void offer_all(struct completion *c, const char *list)
{
    char *save = NULL;
    for (char *p = strtok_r(arena_strdup(&c->r->arena, list), " ", &save); p != NULL; p = strtok_r(NULL, " ", &save)) {
        offer(c, p);
    }
}

/* ---- Names that the cluster or the configuration knows ---- */

static bool reach(struct completion *c)
{
    struct error err;
    if (!args_given(&c->r->args, "request-timeout")) {
        c->r->args.values[c->r->args.values_count++] =
            (struct args_value){rctl_global_option("request-timeout"), COMPLETE_DEADLINE};
    }
    return rctl_connect(c->r, &err) == 0;
}

static void offer_names(struct completion *c, const struct kind *k, const char *before)
{
    CLEANUP_LIST struct api_list list = {0};
    struct api_list_query q = {.kind = k, .ns = rctl_namespace(c->r)};
    struct error err;
    if (!reach(c) || api_list(c->r->api, &q, &list, &err) != 0) {
        return;
    }
    for (unsigned i = 0; i < list.count; i++) {
        offer(c, arena_printf(&c->r->arena, "%s%.*s", before, STR_ARG(list.items[i]->name)));
    }
}

static void offer_entries(struct completion *c, const char *list)
{
    struct config config;
    struct error err;
    if (config_load(&c->r->arena, rctl_config_path(c->r), &config, &err) != 0) {
        return;
    }
    const struct value *entries = value_get(config.doc, list);
    VALUE_FOR(i, entries)
    {
        offer(c, common_cstr(c->r, value_to_str(value_get(value_item(entries, i), "name"))));
    }
}

static void offer_types(struct completion *c, const char *after)
{
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        char *save = NULL, *names = arena_strdup(&c->r->arena, k->short_names);
        offer(c, arena_printf(&c->r->arena, "%s%s", after[0] == '\0' ? k->plural : k->singular, after));
        for (char *p = strtok_r(names, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
            if (c->last[0] != '\0') { /* long names are enough for who has typed nothing yet */
                offer(c, arena_printf(&c->r->arena, "%s%s", p, after));
            }
        }
    }
}

/* "TYPE/part": names of the type. */
static void offer_slash_names(struct completion *c)
{
    const char *slash = strchr(c->last, '/');
    struct error err;
    const struct kind *k;
    const char *type = arena_strndup(&c->r->arena, c->last, (size_t)(slash - c->last));
    if (resource_kind(type, &k, &err) == 0) {
        offer_names(c, k, arena_printf(&c->r->arena, "%s/", type));
    }
}

/* TYPE[,TYPE] [NAME...] | TYPE/NAME... */
static void complete_resources(struct completion *c)
{
    struct error err;
    const struct kind *k;
    const char *comma = strrchr(c->last, ',');
    if (strchr(c->last, '/') != NULL) {
        offer_slash_names(c);
    } else if (c->count == 0 && comma != NULL) {
        c->prefix = arena_strndup(&c->r->arena, c->last, (size_t)(comma + 1 - c->last));
        c->last = comma + 1;
        offer_types(c, "");
    } else if (c->count == 0) {
        offer_types(c, "");
    } else if (strchr(c->words[0], '/') != NULL) {
        offer_types(c, "/");
    } else if (strchr(c->words[0], ',') == NULL && resource_kind(c->words[0], &k, &err) == 0) {
        offer_names(c, k, "");
    }
}

/* A pod, or something that has pods. */
static void complete_pods(struct completion *c)
{
    if (c->count > 0) {
        return;
    }
    if (strchr(c->last, '/') != NULL) {
        offer_slash_names(c);
        return;
    }
    offer_names(c, kind_by_id(KIND_POD), "");
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        char *save = NULL, *names = arena_strdup(&c->r->arena, k->short_names);
        if (k->pods == NULL) {
            continue;
        }
        offer(c, arena_printf(&c->r->arena, "%s/", k->singular));
        for (char *p = strtok_r(names, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save)) {
            offer(c, arena_printf(&c->r->arena, "%s/", p));
        }
    }
}

static void complete_deployments(struct completion *c)
{
    if (strchr(c->last, '/') != NULL) {
        offer_slash_names(c);
    } else if (c->count > 0 && strchr(c->words[0], '/') == NULL) {
        offer_names(c, kind_by_id(KIND_DEPLOYMENT), "");
    } else {
        offer_all(c, "deploy/ deployment/ deployment");
    }
}

static void complete_nodes(struct completion *c)
{
    offer_names(c, kind_by_id(KIND_NODE), "");
}

static void complete_contexts(struct completion *c)
{
    offer_entries(c, "contexts");
}

static void complete_clusters(struct completion *c)
{
    offer_entries(c, "clusters");
}

static void complete_users(struct completion *c)
{
    offer_entries(c, "users");
}

static void complete_types(struct completion *c)
{
    if (c->count == 0) {
        offer_types(c, "");
    }
}

static void complete_shells(struct completion *c)
{
    offer_all(c, "bash zsh fish");
}

static void complete_rights(struct completion *c)
{
    if (c->count == 0) {
        offer_all(c, "create delete deletecollection get list patch update watch");
    } else if (c->count == 1) {
        offer_types(c, "");
    }
}

/* ---- Values of options ---- */

static void guess_namespaces(struct completion *c)
{
    offer_names(c, kind_by_id(KIND_NAMESPACE), "");
}

static void guess_containers(struct completion *c)
{
    static const char *const lists[] = {"spec.containers", "spec.initContainers", "spec.ephemeralContainers"};
    CLEANUP_OBJECT struct object *pod = NULL;
    struct error err;
    if (c->count == 0 || !reach(c) || resource_get_pod(c->r, c->words[0], &pod, NULL, &err) != 0) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), lists[i])); mp_next(&it);) {
            offer(c, common_cstr(c->r, mp_str(mp_get(it.value, "name"))));
        }
    }
}

static void guess_outputs(struct completion *c)
{
    bool wide = strcmp(c->r->command_name, "get") == 0 || strcmp(c->r->command_name, "events") == 0 ||
                strcmp(c->r->command_name, "api-resources") == 0;
    if (strcmp(c->r->command_name, "api-resources") == 0) {
        offer_all(c, "wide name");
        return;
    }
    offer_all(c, wide ? "wide yaml json name" : "yaml json name");
    offer_all(c, "jsonpath= jsonpath-file= jsonpath-as-json= go-template= go-template-file= custom-columns= "
                 "custom-columns-file=");
}

static void guess_about(struct completion *c)
{
    if (strcmp(c->r->command_name, "wait") == 0) {
        offer_all(c, "condition= delete create jsonpath=");
    } else if (strchr(c->last, '/') != NULL) {
        offer_slash_names(c);
    } else {
        offer_types(c, "/");
    }
}

#define VALUES(name, list)                                                                                             \
    static void name(struct completion *c)                                                                             \
    {                                                                                                                  \
        offer_all(c, list);                                                                                            \
    }
VALUES(guess_dry_run, "none client server")
VALUES(guess_cascade, "background foreground orphan")
VALUES(guess_types, "Normal Warning")
VALUES(guess_roles, "node master")
VALUES(guess_patches, "strategic merge json")
VALUES(guess_restarts, "Always OnFailure Never")
VALUES(guess_bool, "true false")
VALUES(guess_nothing, "")

/* Options without a row here have values that nobody can guess, or files. */
static const struct {
    const char *option;
    void (*run)(struct completion *c);
} values[] = {
    {"namespace", guess_namespaces}, {"namespaces", guess_namespaces}, {"context", complete_contexts},
    {"cluster", complete_clusters},  {"user", complete_users},         {"output", guess_outputs},
    {"container", guess_containers}, {"node", complete_nodes},         {"for", guess_about},
    {"dry-run", guess_dry_run},      {"cascade", guess_cascade},       {"types", guess_types},
    {"role", guess_roles},           {"type", guess_patches},          {"restart", guess_restarts},
    {"validate", guess_bool},        {"namespaced", guess_bool},       {"selector", guess_nothing},
};

/* ---- Words ---- */

/* Commands whose words are not told by the beginning of their usage. */
static const struct {
    const char *command;
    void (*run)(struct completion *c);
} commands[] = {
    {"config use-context", complete_contexts},
    {"config delete-context", complete_contexts},
    {"config rename-context", complete_contexts},
    {"config set-context", complete_contexts},
    {"config get-contexts", complete_contexts},
    {"config delete-cluster", complete_clusters},
    {"config set-cluster", complete_clusters},
    {"config delete-user", complete_users},
    {"config set-credentials", complete_users},
    {"completion", complete_shells},
    {"explain", complete_types},
    {"auth can-i", complete_rights},
    {"top node", complete_nodes},
    {"top pod", complete_pods},
    {"taint", complete_resources},
};
static const struct {
    const char *usage; /* begins so */
    void (*run)(struct completion *c);
} usages[] = {
    {"TYPE", complete_resources},
    {"POD", complete_pods},
    {"NODE", complete_nodes},
    {"deploy/NAME", complete_deployments},
    {"(deploy|ds|sts)/NAME", complete_resources},
};

static void complete_words(struct completion *c)
{
    const struct command *command = c->r->command;
    for (unsigned i = 0; c->count == 0 && command->subs != NULL && command->subs[i] != NULL; i++) {
        offer(c, command->subs[i]->name);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].command, c->r->command_name) == 0) {
            commands[i].run(c);
            return;
        }
    }
    for (unsigned i = 0; command->usage != NULL && i < ARRAY_SIZE(usages); i++) {
        if (strncmp(command->usage, usages[i].usage, strlen(usages[i].usage)) == 0) {
            usages[i].run(c);
            return;
        }
    }
}

static void complete_commands(struct completion *c)
{
    for (unsigned i = 0; rctl_commands_at(i) != NULL; i++) {
        offer(c, rctl_commands_at(i)->name);
    }
    offer(c, "help");
}

static void complete_options(struct completion *c)
{
    for (unsigned t = 0; t < 2; t++) {
        const struct option_table *table = &c->r->tables[t];
        for (unsigned i = 0; i < table->count; i++) {
            if (table->rows[i].help != NULL) {
                offer(c, arena_printf(&c->r->arena, "--%s", table->rows[i].name));
            }
        }
    }
}

static void complete_value(struct completion *c)
{
    for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
        if (strcmp(values[i].option, c->option->name) == 0) {
            values[i].run(c);
        }
    }
}

/* ---- The line so far ---- */

static const struct option_row *find_row(const struct rctl *r, const char *name, size_t n, char letter)
{
    for (unsigned t = 0; t < 2; t++) {
        for (unsigned i = 0; i < r->tables[t].count; i++) {
            const struct option_row *row = &r->tables[t].rows[i];
            if (letter != 0 ? row->letter == letter : strlen(row->name) == n && memcmp(row->name, name, n) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

/* The option of a word that takes the next word as its value; NULL if it is none. */
static const struct option_row *wants_value(const struct rctl *r, const char *word)
{
    const struct option_row *row = NULL;
    if (word[0] != '-' || word[1] == '\0' || strcmp(word, "--") == 0) {
        return NULL;
    }
    if (word[1] == '-') {
        row = strchr(word, '=') != NULL ? NULL : find_row(r, word + 2, strlen(word + 2), 0);
    } else {
        for (const char *p = word + 1; *p != '\0'; p++) { /* -ti: flags; -tin: n wants a value, if it is the last */
            row = find_row(r, NULL, 0, *p);
            if (row == NULL || ((row->type == OPTION_VALUE || row->type == OPTION_REPEAT) && p[1] != '\0')) {
                return NULL;
            }
        }
    }
    return row != NULL && (row->type == OPTION_VALUE || row->type == OPTION_REPEAT) ? row : NULL;
}

/* Takes the commands out of the line and sorts the rest: words, and options for connecting. */
static void read_line(struct completion *c, int count, const char *const *words)
{
    struct rctl *r = c->r;
    const char **rest = arena_alloc(&r->arena, ((size_t)count + 1) * sizeof(*rest));
    int n = 0;
    for (int i = 0; i < count; i++) {
        const struct option_row *row = c->after_dash ? NULL : wants_value(r, words[i]);
        bool plain = c->after_dash || words[i][0] != '-' || words[i][1] == '\0';
        if (row != NULL && i + 1 == count) {
            c->option = row; /* its value is what is being typed */
            break;
        }
        if (plain && c->count == 0 && rctl_take_command(r, words[i])) {
            continue;
        }
        c->after_dash = c->after_dash || strcmp(words[i], "--") == 0;
        rest[n++] = words[i];
        if (row != NULL) {
            rest[n++] = words[++i];
        } else if (plain && c->count < ARRAY_SIZE(c->words)) {
            c->words[c->count++] = words[i];
        }
    }
    struct error err;
    if (args_parse(&r->arena, r->tables, n, rest, &r->args, &err) != 0) {
        args_parse(&r->arena, r->tables, 0, rest, &r->args, &err);
    }
    struct args_value *more = arena_alloc(&r->arena, (r->args.values_count + 1) * sizeof(*more)); /* room for one */
    if (r->args.values_count > 0) {
        memcpy(more, r->args.values, r->args.values_count * sizeof(*more));
    }
    r->args.values = more;
}

int complete_run(struct rctl *r, int count, const char *const *words)
{
    struct completion c = {.r = r, .prefix = "", .last = count > 0 ? words[count - 1] : ""};
    FILE *quiet = fopen("/dev/null", "w");
    FILE *err_out = r->err_out;
    r->err_out = quiet != NULL ? quiet : err_out;
    read_line(&c, count > 0 ? count - 1 : 0, words);
    const char *eq = strncmp(c.last, "--", 2) == 0 ? strchr(c.last, '=') : NULL;
    if (c.option == NULL && eq != NULL && !c.after_dash) {
        c.option = find_row(r, c.last + 2, (size_t)(eq - c.last - 2), 0);
        c.prefix = arena_strndup(&r->arena, c.last, (size_t)(eq + 1 - c.last));
        c.last = eq + 1;
    }
    if (c.option != NULL) {
        complete_value(&c);
    } else if (c.after_dash) {
        /* a command in a container: nobody here knows it */
    } else if (c.last[0] == '-') {
        complete_options(&c);
    } else if (r->command == NULL) {
        complete_commands(&c);
    } else {
        complete_words(&c);
    }
    r->err_out = err_out;
    if (quiet != NULL) {
        fclose(quiet);
    }
    return EXIT_DONE;
}

/* ---- Scripts ---- */

/* Words are cut out of the line by hand: bash would cut --namespace=a at its =. */
static const char bash_script[] = "# bash completion of rctl: source <(rctl completion bash)\n"
                                  "_rctl() {\n"
                                  "    local line=${COMP_LINE:0:COMP_POINT} cur word\n"
                                  "    local -a words\n"
                                  "    read -ra words <<<\"$line\"\n"
                                  "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
                                  "    cur=${words[${#words[@]}-1]}\n"
                                  "    COMPREPLY=()\n"
                                  "    while IFS= read -r word; do\n"
                                  "        [[ $word == --*=* && $COMP_WORDBREAKS == *=* ]] && word=${word#*=}\n"
                                  "        COMPREPLY+=(\"$word\")\n"
                                  "    done < <(\"${words[0]}\" " COMPLETE_COMMAND " \"${words[@]:1}\" 2>/dev/null)\n"
                                  "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]] && compopt -o nospace\n"
                                  "    return 0\n"
                                  "}\n"
                                  "complete -o default -F _rctl rctl\n";

static const char zsh_script[] =
    "#compdef rctl\n"
    "# zsh completion of rctl: source <(rctl completion zsh), or a file _rctl in a directory of $fpath\n"
    "_rctl() {\n"
    "    local -a found open\n"
    "    local word\n"
    "    for word in \"${(@f)$(\"${words[1]}\" " COMPLETE_COMMAND " \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
    "        [[ -z $word ]] && continue\n"
    "        case $word in\n"
    "        *[/=]) open+=(\"$word\") ;;\n"
    "        *) found+=(\"$word\") ;;\n"
    "        esac\n"
    "    done\n"
    "    if (( ${#found} + ${#open} == 0 )); then\n"
    "        _files\n"
    "        return\n"
    "    fi\n"
    "    (( ${#found} )) && compadd -- \"${found[@]}\"\n"
    "    (( ${#open} )) && compadd -S '' -- \"${open[@]}\"\n"
    "    return 0\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _rctl ]; then\n"
    "    _rctl \"$@\"\n"
    "else\n"
    "    compdef _rctl rctl\n"
    "fi\n";

static const char fish_script[] = "# fish completion of rctl: rctl completion fish | source\n"
                                  "function __rctl_complete\n"
                                  "    set -l words (commandline -opc) (commandline -ct)\n"
                                  "    set -l found ($words[1] " COMPLETE_COMMAND " $words[2..-1] 2>/dev/null)\n"
                                  "    if test (count $found) -eq 0\n"
                                  "        __fish_complete_path (commandline -ct)\n"
                                  "    else\n"
                                  "        printf '%s\\n' $found\n"
                                  "    end\n"
                                  "end\n"
                                  "complete -c rctl -e\n"
                                  "complete -c rctl -f -a '(__rctl_complete)'\n";

const char *complete_script(const char *shell)
{
    static const char *const rows[][2] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i][0], shell) == 0) {
            return rows[i][1];
        }
    }
    return NULL;
}
