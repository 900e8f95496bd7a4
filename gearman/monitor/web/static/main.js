// What a page does beyond what the server made of it. Each module looks for its own
// elements, and does without them; without any of this the page is complete.
import { readCharts } from "./charts.js";
import { chooseRows } from "./choosing.js";
import { confirmForms } from "./confirm.js";
import { followEvents } from "./events.js";
import { keepCurrent } from "./live.js";

readCharts();
chooseRows();
confirmForms();
followEvents();
keepCurrent();
