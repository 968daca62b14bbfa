//! The icon set: 16 by 16, strokes in the text's colour. A status has a shape of its own, so that colour is not needed.

macro_rules! icons {
    ($($(#[$doc:meta])* $name:ident = $class:literal $body:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) const $name: &str =
            concat!("<svg class=\"icon", $class, "\" viewBox=\"0 0 16 16\" aria-hidden=\"true\">", $body, "</svg>");
    )*};
}

icons! {
    BELL = "" "<path d=\"M4 11V7a4 4 0 018 0v4l1 1.5H3zM6.5 14.5h3\"/>";
    BLOCKED = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M4 12l8-8\"/>";
    BOX = "" "<path d=\"M2 5l6-3 6 3v6l-6 3-6-3zM2 5l6 3 6-3M8 8v6\"/>";
    BRANCH = "" "<circle cx=\"4.5\" cy=\"3.5\" r=\"1.8\"/><circle cx=\"4.5\" cy=\"12.5\" r=\"1.8\"/><circle cx=\"11.5\" cy=\"5.5\" r=\"1.8\"/><path d=\"M4.5 5.5v5M11.5 7.5c0 2.5-5 2-6.5 4\"/>";
    CANCELED = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M4 12l8-8\"/>";
    CHART = "" "<path d=\"M2.5 2.5v11h11M5 10.5l2.5-3.5 2 2 3.5-5\"/>";
    CLOCK = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M8 4.5V8l2.5 1.5\"/>";
    COPY = "" "<rect x=\"5.5\" y=\"5.5\" width=\"8\" height=\"8\" rx=\"1.5\"/><path d=\"M10.5 5.5v-2a1 1 0 00-1-1h-6a1 1 0 00-1 1v6a1 1 0 001 1h2\"/>";
    CREATED = "" "<circle cx=\"8\" cy=\"8\" r=\"6\" stroke-dasharray=\"2.5 2.5\"/>";
    DOWN = "" "<path d=\"M8 2.5v9M4 8l4 4 4-4M3 14.5h10\"/>";
    DOWNLOAD = "" "<path d=\"M8 2.5v7M5 7l3 3 3-3M2.5 10.5v3h11v-3\"/>";
    DRAINING = "" "<path d=\"M3 4h10M5 8h6M7 12h2\"/>";
    FAILED = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4\"/>";
    FILE = "" "<path d=\"M4 1.5h5l3 3v10H4zM9 1.5v3h3\"/>";
    HAND = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M6.5 5.5l4 2.5-4 2.5z\"/>";
    HOME = "" "<path d=\"M2.5 7.5L8 2.5l5.5 5M4 6.5v7h8v-7\"/>";
    INFO = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M8 7.5v3.5M8 5h.01\"/>";
    LINK = "" "<path d=\"M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 014.5 4.5L11.5 9M9 11.5L7.5 13A3 3 0 013 8.5L4.5 7\"/>";
    LOGOUT = "" "<path d=\"M6.5 2.5h-4v11h4M6.5 8h7M10.5 5l3 3-3 3\"/>";
    LOST = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M6.3 6.3a1.8 1.8 0 113 1.4c-.8.6-1.3.9-1.3 1.8M8 11.7h.01\"/>";
    MERGE = "" "<circle cx=\"4\" cy=\"3.5\" r=\"1.8\"/><circle cx=\"4\" cy=\"12.5\" r=\"1.8\"/><circle cx=\"12\" cy=\"8.5\" r=\"1.8\"/><path d=\"M4 5.5v5M4.5 5.3c1 2.2 3 3.2 5.5 3.2\"/>";
    OFF = "" "<path d=\"M3 3l10 10\"/><circle cx=\"8\" cy=\"8\" r=\"3\"/>";
    PAUSE = "" "<path d=\"M5.5 3.5v9M10.5 3.5v9\"/>";
    PENDING = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M6.5 5.5v5M9.5 5.5v5\"/>";
    PIPELINE = "" "<circle cx=\"3\" cy=\"8\" r=\"1.7\"/><circle cx=\"13\" cy=\"4\" r=\"1.7\"/><circle cx=\"13\" cy=\"12\" r=\"1.7\"/><path d=\"M4.7 8h2.3c2 0 2-4 4.3-4M7 8c2 0 2 4 4.3 4\"/>";
    PLAY = "" "<path d=\"M4.5 2.5l8 5.5-8 5.5z\"/>";
    PLUS = "" "<path d=\"M8 3v10M3 8h10\"/>";
    RETRY = "" "<path d=\"M13 8a5 5 0 11-1.5-3.6L13 6M13 2.5V6H9.5\"/>";
    ROLL_BACK = "" "<path d=\"M3 6h6.5a3.5 3.5 0 010 7H6M6 3L3 6l3 3\"/>";
    RUNNING = " spin" "<path d=\"M8 2a6 6 0 11-6 6\"/>";
    SCHEDULED = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M8 4.5V8H5\"/>";
    SERVER = "" "<rect x=\"2.5\" y=\"2.5\" width=\"11\" height=\"4.5\" rx=\"1\"/><rect x=\"2.5\" y=\"9\" width=\"11\" height=\"4.5\" rx=\"1\"/><path d=\"M5 4.75h.01M5 11.25h.01\"/>";
    SKIPPED = "" "<path d=\"M3.5 4l4 4-4 4M8.5 4l4 4-4 4\"/>";
    STOP = "" "<rect x=\"3.5\" y=\"3.5\" width=\"9\" height=\"9\" rx=\"1\"/>";
    SUCCESS = "" "<circle cx=\"8\" cy=\"8\" r=\"6\"/><path d=\"M5.3 8.2l1.9 1.9 3.5-4\"/>";
    WAITING = "" "<path d=\"M4.5 2.5h7M4.5 13.5h7M5 2.5c0 5 6 6 6 11M11 2.5c0 5-6 6-6 11\"/>";
    WARNING = "" "<path d=\"M8 2.2L14.5 13.5h-13zM8 6.5v3M8 11.6h.01\"/>";
}
