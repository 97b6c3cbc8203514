#include "service/codec/level.h"

enum level level_of_index(uint8_t kind)
{
    static const uint8_t levels[] = {
        [INDEX_CHILD] = LEVEL_FIRST,
        [INDEX_SUSPENSION] = LEVEL_FIRST,
        [INDEX_AWAIT] = LEVEL_FIRST,
        [INDEX_TRIGGER] = LEVEL_FIRST,
        [INDEX_SCHEDULE] = LEVEL_FIRST,
        [INDEX_SCHEDULE_INPUT] = LEVEL_FIRST,
        [INDEX_QUEUE] = LEVEL_FIRST,
        [INDEX_QUEUE_DEFAULT] = LEVEL_FIRST,
        [INDEX_ALARM] = LEVEL_FIRST,
        [INDEX_QUEUE_START] = LEVEL_FIRST,
        [INDEX_PUBLICATION] = LEVEL_FIRST,
        [INDEX_PUBLICATION_AGE] = LEVEL_FIRST,
        [INDEX_SUCCESSOR] = LEVEL_FIRST,
        [INDEX_OWED] = LEVEL_OWED,
        [INDEX_TREE] = LEVEL_OWED,
        [INDEX_RUN] = LEVEL_FIRST, /* Nobody reads them before they are all there. */
        [INDEX_RUN_BUILT] = LEVEL_OWED,
        [INDEX_AWAIT_TYPE] = LEVEL_OWED,
        [INDEX_STEP_KEY] = LEVEL_OWED,
        [INDEX_STEP_KEYS_SINCE] = LEVEL_OWED,
        [INDEX_SCHEDULE_TERMS] = LEVEL_NOUNS,
        [INDEX_SCHEDULE_PAUSE] = LEVEL_NOUNS,
        [INDEX_TOPIC] = LEVEL_NOUNS,
        [INDEX_TOPICS_NAMED] = LEVEL_NOUNS,
        [INDEX_LOOKED] = LEVEL_FIRST, /* Without it, all is looked at again. */
        [INDEX_VERSION] = LEVEL_VERSIONS,
        [INDEX_VERSION_TIME] = LEVEL_VERSIONS,
        [INDEX_VERSION_RUNS] = LEVEL_VERSIONS,
        [INDEX_VERSION_DELETED] = LEVEL_VERSIONS,
        [INDEX_VERSIONS_BUILT] = LEVEL_VERSIONS,
        [INDEX_TOOL_OFFER] = LEVEL_FIRST, /* What they say may be old. */
        [INDEX_WORKFLOW_OFFER] = LEVEL_FIRST,
        [INDEX_TREE_FACTS] = LEVEL_ORDER,
        [INDEX_RUN_TREES_BUILT] = LEVEL_LISTED,
        [INDEX_COPY] = LEVEL_COPIES,
        [INDEX_KEY] = LEVEL_KEYS,
    };
    bool is_known = kind < sizeof(levels) && levels[kind] != 0;
    return is_known ? (enum level)levels[kind] : LEVEL_NEWEST;
}

enum level level_of_event(enum event_kind kind)
{
    uint32_t level = event_traits(kind)->level;
    assert(level <= LEVEL_NEWEST);
    return level == 0 ? LEVEL_FIRST : (enum level)level;
}

enum level level_of_said(const struct event *event)
{
    bool has_callbacks =
        event->kind == EVENT_RUN_STARTED && event->run_started.spec.callbacks.len > 0;
    return has_callbacks ? LEVEL_CALLBACKS : level_of_event(event->kind);
}
