# Turns "tests/queue/test_claim.py::TestClaim::test_skips_events_another_poller_holds[x]" into an outline of sentences.
/::/ {
  sub(/\[.*$/, "")
  count = split($0, part, "::")
  file = part[1]; sub(/^tests\//, "", file); sub(/\.py$/, "", file); sub(/test_/, "", file); gsub(/_/, " ", file)
  subject = count > 2 ? part[2] : ""; sub(/^Test/, "", subject)
  spaced = ""
  for (i = 1; i <= length(subject); i++) {
    letter = substr(subject, i, 1)
    spaced = spaced ((letter ~ /[A-Z]/ && i > 1) ? " " tolower(letter) : letter)
  }
  sentence = part[count]; sub(/^test_/, "", sentence); gsub(/_/, " ", sentence)
  if (file != lastfile) { printf "\n%s\n", file; lastfile = file; lastsubject = "" }
  if (spaced != lastsubject) { if (spaced != "") printf "  %s\n", spaced; lastsubject = spaced }
  line = "    " sentence
  if (line != lastline) print line
  lastline = line
}
