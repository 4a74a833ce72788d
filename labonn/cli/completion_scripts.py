"""The scripts of `labonn completion`: each hands the words up to the cursor to labonn, and shows what comes back."""

BASH = r"""# completion of labonn for bash
_labonn() {
    local current=${COMP_WORDS[COMP_CWORD]} kind line
    COMPREPLY=()
    [[ $current == = ]] && current=
    {
        IFS= read -r kind
        while IFS= read -r line; do COMPREPLY+=("$line"); done
    } < <("${COMP_WORDS[0]/#\~/$HOME}" completion --words bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    case $kind in
        files | dirs) compopt -o filenames 2>/dev/null ;;
    esac
    case $kind in
        files) while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$current") ;;
        dirs) while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -d -- "$current") ;;
    esac
}
complete -o nosort -F _labonn labonn 2>/dev/null || complete -F _labonn labonn
"""

ZSH = r"""#compdef labonn
_labonn() {
    local -a lines values shown
    local line
    lines=("${(@f)$("${words[1]/#\~/$HOME}" completion --words zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    for line in "${(@)lines[2,-1]}"; do
        values+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  -- }")
    done
    (( $#values )) && compadd -l -V labonn -d shown -a values
    case $lines[1] in
        files) _files ;;
        dirs) _files -/ ;;
    esac
}
if [[ $funcstack[1] == _labonn ]]; then
    _labonn "$@"
else
    compdef _labonn labonn
fi
"""

FISH = r"""# completion of labonn for fish
function __labonn_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct)
    set -l lines ($program completion --words fish -- $words "$current" 2>/dev/null)
    set -l kind $lines[1]
    set -e lines[1]
    test (count $lines) -gt 0; and printf '%s\n' $lines
    switch "$kind"
        case files
            __fish_complete_path "$current"
        case dirs
            __fish_complete_directories "$current"
    end
end
complete -c labonn -f -k -a '(__labonn_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
