#include "service/llm/places.h"

#include <stdlib.h>

enum {
    SURE_MAX = 8,
    SHARE = 32, /* Of the places; each line is sure of so large a part, and each project. */
    WITH_LINES = 2, /* So many times the places, those that lines are sure of counted. */
};
static_assert((int)WITH_LINES < (int)PLACES_WITH_SURE,
              "those that projects are sure of come on top");

struct places_project {
    struct table_link link;
    uint32_t id;
    size_t lines;
    size_t held;
};

struct places_line {
    struct table_link link;
    struct places_project *project;
    str server; /* Behind the struct. */
    size_t held;
    struct claim *first;
    struct claim *last;
    struct places_line *left; /* In the ring, while it has claims that wait. */
    struct places_line *right;
};

struct line_key {
    uint32_t project;
    str server;
};

static bool is_line(const struct table_link *link, const void *key)
{
    const struct places_line *line = container_of(link, struct places_line, link);
    const struct line_key *wanted = key;
    return line->project->id == wanted->project && str_equal(line->server, wanted->server);
}

static bool is_project(const struct table_link *link, const void *key)
{
    return container_of(link, struct places_project, link)->id == *(const uint32_t *)key;
}

void places_init(struct places *places, size_t most)
{
    size_t sure = most / SHARE;
    assert(most > 0);
    *places = (struct places){.most = most};
    places->sure = sure < 1 ? 1 : sure < SURE_MAX ? sure : SURE_MAX;
    table_init(&places->lines, is_line);
    table_init(&places->projects, is_project);
}

void places_fini(struct places *places)
{
    assert(places->taken == 0 && places->next == NULL);
    assert(places->lines.count == 0 && places->projects.count == 0);
    table_fini(&places->lines);
    table_fini(&places->projects);
}

static uint64_t hash_of_project(uint32_t id)
{
    return str_hash(str_make((const char *)&id, sizeof(id)));
}

static struct places_project *project_of(struct places *places, uint32_t id)
{
    uint64_t hash = hash_of_project(id);
    struct table_link *link = table_find(&places->projects, hash, &id);
    if (link != NULL) {
        return container_of(link, struct places_project, link);
    }
    struct places_project *project = xcalloc(1, sizeof(*project));
    project->id = id;
    assert(project->lines == 0 && project->held == 0);
    table_add(&places->projects, &project->link, hash);
    return project;
}

static struct places_line *line_of(struct places *places, uint32_t project, str server)
{
    uint64_t hash = str_hash(server) ^ hash_of_project(project);
    struct line_key key = {.project = project, .server = server};
    struct table_link *link = table_find(&places->lines, hash, &key);
    if (link != NULL) {
        return container_of(link, struct places_line, link);
    }
    struct places_line *line = xcalloc(1, sizeof(*line) + server.len + 1);
    char *copy = (char *)(line + 1);
    memcpy(copy, server.ptr, server.len);
    line->server = str_make(copy, server.len);
    line->project = project_of(places, project);
    line->project->lines++;
    table_add(&places->lines, &line->link, hash);
    return line;
}

static void end_line(struct places *places, struct places_line *line)
{
    struct places_project *project = line->project;
    assert(line->held == 0 && line->first == NULL && project->lines > 0);
    table_remove(&places->lines, &line->link);
    free(line);
    if (--project->lines == 0) {
        assert(project->held == 0);
        table_remove(&places->projects, &project->link);
        free(project);
    }
}

static void enter_ring(struct places *places, struct places_line *line)
{
    if (places->next == NULL) {
        line->left = line;
        line->right = line;
        places->next = line;
        return;
    }
    line->right = places->next; /* The last to be served. */
    line->left = places->next->left;
    line->left->right = line;
    line->right->left = line;
}

static void leave_ring(struct places *places, struct places_line *line)
{
    assert(line->left != NULL && line->right != NULL);
    if (line->right == line) {
        assert(places->next == line);
        places->next = NULL;
    } else {
        line->left->right = line->right;
        line->right->left = line->left;
        places->next = places->next == line ? line->right : places->next;
    }
    line->left = NULL;
    line->right = NULL;
}

void places_ask(struct places *places, struct claim *claim, uint32_t project, str server)
{
    struct places_line *line = line_of(places, project, server);
    assert(line->project->lines > 0 && line->project->lines <= places->lines.count);
    assert(claim->line == NULL && !claim->is_held);
    if (line->first == NULL) {
        enter_ring(places, line);
    }
    *claim = (struct claim){.line = line, .before = line->last};
    if (line->last == NULL) {
        line->first = claim;
    } else {
        line->last->next = claim;
    }
    line->last = claim;
}

static void leave_line(struct places *places, struct claim *claim)
{
    struct places_line *line = claim->line;
    if (claim->before == NULL) {
        assert(line->first == claim);
        line->first = claim->next;
    } else {
        claim->before->next = claim->next;
    }
    if (claim->next == NULL) {
        assert(line->last == claim);
        line->last = claim->before;
    } else {
        claim->next->before = claim->before;
    }
    claim->next = NULL;
    claim->before = NULL;
    if (line->first == NULL) {
        leave_ring(places, line);
    }
}

static bool may_go(const struct places *places, const struct places_line *line)
{
    assert(line->first != NULL && line->held <= line->project->held);
    assert(line->project->held <= places->taken && places->sure > 0);
    return places->taken < places->most ||
           (line->held < places->sure && places->taken < WITH_LINES * places->most) ||
           (line->project->held < places->sure && places->taken < PLACES_WITH_SURE * places->most);
}

struct claim *places_next(struct places *places)
{
    struct places_line *line = places->next;
    if (line == NULL) {
        return NULL;
    }
    do {
        if (may_go(places, line)) {
            struct claim *claim = line->first;
            assert(claim != NULL && !claim->is_held);
            places->next = line->right;
            leave_line(places, claim);
            claim->is_held = true;
            line->held++;
            line->project->held++;
            places->taken++;
            return claim;
        }
        line = line->right;
    } while (line != places->next);
    return NULL;
}

void places_leave(struct places *places, struct claim *claim)
{
    struct places_line *line = claim->line;
    assert(line != NULL);
    if (claim->is_held) {
        assert(line->held > 0 && line->project->held > 0 && places->taken > 0);
        line->held--;
        line->project->held--;
        places->taken--;
    } else {
        leave_line(places, claim);
    }
    *claim = (struct claim){0};
    if (line->held == 0 && line->first == NULL) {
        end_line(places, line);
    }
}
