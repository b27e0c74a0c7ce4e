#include "proto/schema/kind.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "proto/schema/table.h"

unsigned kinds_count(void)
{
    return kinds_list_count;
}

const struct kind *kinds_at(unsigned i)
{
    assert(i < kinds_list_count);
    return kinds_list[i];
}

unsigned kind_requests_count(void)
{
    return requests_list_count;
}

const struct kind *kind_requests_at(unsigned i)
{
    assert(i < requests_list_count);
    return requests_list[i];
}

const struct kind *kind_of_request(struct str api_version, struct str name)
{
    for (unsigned i = 0; i < requests_list_count; i++) {
        const struct kind *k = requests_list[i];
        if (str_is(name, k->name) && (str_is(api_version, k->api_version) || str_is(name, "DeleteOptions"))) {
            return k;
        }
    }
    return NULL;
}

const struct kind *kind_by_id(unsigned id)
{
    /* The list is in order of ids: mostly without gaps, so the place is known; else it is searched for. */
    if (id > 0 && id <= kinds_list_count && kinds_list[id - 1]->id == id) {
        return kinds_list[id - 1];
    }
    unsigned lo = 0, hi = kinds_list_count;
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        if ((unsigned)kinds_list[mid]->id < id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < kinds_list_count && kinds_list[lo]->id == id ? kinds_list[lo] : NULL;
}

struct str kind_group(const struct kind *k)
{
    const char *slash = strchr(k->api_version, '/');
    return slash == NULL ? STR_NONE : (struct str){k->api_version, (size_t)(slash - k->api_version)};
}

void kind_error_about(struct error *err, const struct kind *k, struct str name)
{
    if (err != NULL && err->about[0] == '\0' && err->about[1] == '\0') { /* neither group nor kind */
        error_set_about(err, kind_group(k), str_of(err->code == ERR_INVALID ? k->name : k->plural), name);
    }
}

const struct kind *kind_by_name(struct str name)
{
    const char *dot = name.n == 0 ? NULL : memchr(name.p, '.', name.n);
    struct str group = STR_NONE;
    if (dot != NULL) {
        group = (struct str){dot + 1, name.n - (size_t)(dot - name.p) - 1};
        name.n = (size_t)(dot - name.p);
    }
    for (unsigned i = 0; i < kinds_list_count; i++) {
        const struct kind *k = kinds_list[i];
        if (str_is(name, k->name) && (dot == NULL || str_eq(group, kind_group(k)))) {
            return k;
        }
    }
    return NULL;
}

static bool equal_any_case(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

/* Calls visit with each name of the kind until it says true. */
static bool kind_each_name(const struct kind *k, bool (*visit)(struct str name, void *data), void *data)
{
    if (visit(str_of(k->plural), data) || visit(str_of(k->singular), data) || visit(str_of(k->name), data)) {
        return true;
    }
    for (const char *p = k->short_names; *p != '\0';) {
        size_t n = strcspn(p, ",");
        if (visit((struct str){p, n}, data)) {
            return true;
        }
        p += n + (p[n] == ',');
    }
    return false;
}

static bool visit_equal(struct str name, void *data)
{
    return equal_any_case(name, *(struct str *)data);
}

/* "deployments.apps", "deployments.v1.apps": the group must be the kind's own. */
static bool split_group(struct str *name, struct str *group)
{
    const char *dot = name->n == 0 ? NULL : memchr(name->p, '.', name->n);
    if (dot == NULL) {
        *group = STR_NONE;
        return false;
    }
    *group = (struct str){dot + 1, name->n - (size_t)(dot - name->p) - 1};
    name->n = (size_t)(dot - name->p);
    return true;
}

static bool group_is(const struct kind *k, struct str group)
{
    struct str own = kind_group(k), version = str_of(k->api_version + (own.n == 0 ? 0 : own.n + 1));
    if (group.n > version.n && str_starts(group, version) && group.p[version.n] == '.') {
        group = (struct str){group.p + version.n + 1, group.n - version.n - 1};
    } else if (str_eq(group, version)) {
        group = STR_NONE;
    }
    return equal_any_case(group, own);
}

const struct kind *kind_by_any_name(struct str name)
{
    struct str group;
    bool has_group = split_group(&name, &group);
    if (name.n == 0) {
        return NULL;
    }
    for (unsigned i = 0; i < kinds_list_count; i++) {
        if (kind_each_name(kinds_list[i], visit_equal, &name) && (!has_group || group_is(kinds_list[i], group))) {
            return kinds_list[i];
        }
    }
    return NULL;
}

/* "v1beta1.example.io" for example.io/v1beta1 */
static bool version_is(const char *api_version, struct str asked)
{
    const char *slash = strchr(api_version, '/');
    size_t group = slash == NULL ? 0 : (size_t)(slash - api_version);
    struct str version = str_of(slash == NULL ? api_version : slash + 1);
    return asked.n == version.n + 1 + group && str_starts(asked, version) && asked.p[version.n] == '.' &&
           equal_any_case((struct str){asked.p + version.n + 1, group}, (struct str){api_version, group});
}

const struct kind *kind_in_named_version(struct str name, const char **api_version)
{
    const struct kind *k = kind_by_any_name(name);
    struct str asked;
    if (k != NULL || !split_group(&name, &asked) || name.n == 0) {
        *api_version = k == NULL ? NULL : k->api_version;
        return k;
    }
    for (unsigned i = 0; i < kinds_list_count; i++) {
        k = kinds_list[i];
        for (const struct kind_version *v = k->versions; v != NULL && v->api_version != NULL; v++) {
            if (!v->read_only && kind_each_name(k, visit_equal, &name) && version_is(v->api_version, asked)) {
                *api_version = v->api_version;
                return k;
            }
        }
    }
    return NULL;
}

struct nearest {
    struct str name;
    unsigned distance;
};

static bool visit_nearest(struct str name, void *data)
{
    struct nearest *n = data;
    /* A short name of three letters is near to everything: only longer names are compared. */
    if (name.n > 3) {
        n->distance = MIN(n->distance, name_nearness(n->name, name));
    }
    return false;
}

const struct kind *kind_nearest(struct str name)
{
    const struct kind *best = NULL;
    unsigned best_distance = 4;
    for (unsigned i = 0; i < kinds_list_count; i++) {
        struct nearest n = {name, 4};
        kind_each_name(kinds_list[i], visit_nearest, &n);
        if (n.distance < best_distance) {
            best_distance = n.distance;
            best = kinds_list[i];
        }
    }
    return best;
}

const struct field *schema_field(const struct schema *s, struct str name)
{
    assert(s != NULL);
    if (name.n == 0) {
        return NULL;
    }
    for (unsigned i = 0; i < s->count; i++) {
        const char *own = s->fields[i].name;
        if (own[0] == name.p[0] && str_is(name, own)) { /* a name may have NULs */
            return &s->fields[i];
        }
    }
    return NULL;
}

const char *schema_nearest(const struct schema *s, struct str name)
{
    const char *best = NULL;
    unsigned best_distance = name.n <= 3 ? 2 : 4;
    for (unsigned i = 0; i < s->count; i++) {
        unsigned d = name_distance(str_of(s->fields[i].name), name);
        if (d < best_distance) {
            best_distance = d;
            best = s->fields[i].name;
        }
    }
    return best;
}

/* ---- Names ---- */

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

bool name_is_key(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '/' || s.p[i] == '%') {
            return false;
        }
    }
    return s.n > 0 && s.n <= NAME_KEY_MAX && !str_is(s, ".") && !str_is(s, "..");
}

static bool is_separator(char c)
{
    return c == '-' || c == '.';
}

struct str name_generate_base(struct str base, size_t max)
{
    struct str s = {base.p, MIN(base.n, max)};
    /* Of two separators beside each other only "--" may be in a name. */
    while (s.n >= 2 && is_separator(s.p[s.n - 1]) && is_separator(s.p[s.n - 2]) &&
           (s.p[s.n - 1] == '.' || s.p[s.n - 2] == '.')) {
        s.n--;
    }
    return s;
}

struct str name_generate_prefix(struct arena *a, struct str owner)
{
    return name_generate_base(str_of(arena_printf(a, "%.*s-", STR_ARG(owner))), NAME_GENERATE_MAX);
}

#define EVENT_BASE_MAX 200u

struct str name_of_event(struct arena *a, struct str about, uint64_t hash)
{
    struct str s = {about.p, MIN(about.n, EVENT_BASE_MAX)};
    while (s.n > 0 && is_separator(s.p[s.n - 1])) {
        s.n--;
    }
    if (!name_is_dns_subdomain(s)) {
        s = STR("object"); /* an older program may have let it be called so; the event says whom it is about */
    }
    return str_of(arena_printf(a, "%.*s.%016llx", STR_ARG(s), (unsigned long long)hash));
}

bool name_is_dns_label(struct str s)
{
    if (s.n == 0 || s.n > 63 || !is_lower_alnum(s.p[0]) || !is_lower_alnum(s.p[s.n - 1])) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!is_lower_alnum(s.p[i]) && s.p[i] != '-') {
            return false;
        }
    }
    return true;
}

/* Labels joined by dots; here each may be longer than 63, as the API has it. */
bool name_is_dns_subdomain(struct str s)
{
    if (s.n == 0 || s.n > 253) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        bool edge = i == 0 || i == s.n - 1 || s.p[i - 1] == '.' || s.p[i + 1] == '.';
        if (is_lower_alnum(s.p[i]) || (s.p[i] == '-' && !edge) || (s.p[i] == '.' && !edge)) {
            continue;
        }
        return false;
    }
    return true;
}

static bool is_qualified_part(struct str s)
{
    if (s.n == 0 || s.n > 63 || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1])) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!is_alnum(s.p[i]) && strchr("-_.", s.p[i]) == NULL) {
            return false;
        }
    }
    return true;
}

bool name_is_label_key(struct str s)
{
    const char *slash = s.n == 0 ? NULL : memchr(s.p, '/', s.n);
    if (slash == NULL) {
        return is_qualified_part(s);
    }
    size_t n = (size_t)(slash - s.p);
    return name_is_dns_subdomain((struct str){s.p, n}) && is_qualified_part((struct str){slash + 1, s.n - n - 1});
}

bool name_is_label_value(struct str s)
{
    return s.n == 0 || is_qualified_part(s);
}

/* Optimal string alignment: insert, delete, replace, and swap of neighbours cost 1 each; case does not count. */
unsigned name_distance(struct str a, struct str b)
{
    enum { LENGTH_MAX = 64, FAR = 4 };
    if (a.n > LENGTH_MAX || b.n > LENGTH_MAX || MAX(a.n, b.n) - MIN(a.n, b.n) >= FAR) {
        return FAR;
    }
    unsigned rows[3][LENGTH_MAX + 1];
    for (unsigned j = 0; j <= b.n; j++) {
        rows[0][j] = j;
    }
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3], *upper = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            int ca = tolower((unsigned char)a.p[i - 1]), cb = tolower((unsigned char)b.p[j - 1]);
            row[j] = MIN(MIN(up[j] + 1, row[j - 1] + 1), up[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b.p[j - 2]) &&
                cb == tolower((unsigned char)a.p[i - 2])) {
                row[j] = MIN(row[j], upper[j - 2] + 1);
            }
        }
    }
    unsigned d = rows[a.n % 3][b.n];
    return MIN(d, (unsigned)FAR);
}

unsigned name_nearness(struct str typed, struct str name)
{
    if (typed.n >= 3 && typed.n < name.n && str_starts(name, typed)) {
        return 1;
    }
    unsigned d = name_distance(typed, name);
    size_t n = MIN(typed.n, name.n);
    return d <= (n <= 4 ? 1u : n <= 7 ? 2u : 3u) ? d : 4;
}
