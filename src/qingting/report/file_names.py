"""What the files of a study's analysis are called, in the report's folder and elsewhere."""

WORDS = "human_judge_analysis.md"
WORDS_ZH = "human_judge_analysis.zh.md"
PAGE = "human_judge_analysis.html"
FIGURES = "human_judge_analysis.json"
NAMES = (WORDS, WORDS_ZH, PAGE, FIGURES)
